"""A small HTTP server for tests of what is posted: it keeps requests, and answers as its script says."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(kw_only=True)
class Posted:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(kw_only=True)
class HookAnswer:
    #: None closes the connection without an answer; 0 says nothing for as long as the server lives.
    status: int | None = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    #: What the head promises, if that is more than comes.
    promised: int | None = None


class HookServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer: HookAnswer) -> None:
        self.answer = answer
        self.posted: list[Posted] = []
        self.over = threading.Event()
        super().__init__(("127.0.0.1", 0), _Hook)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?key=sk-in-the-address"


class _Hook(BaseHTTPRequestHandler):
    server: HookServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.posted.append(Posted(path=self.path, headers=headers, body=body))
        answer = self.server.answer
        self.close_connection = True
        if answer.status == 0:
            self.server.over.wait(30)
        if not answer.status:
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(answer.promised or len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *facts: object) -> None:
        """Say nothing."""


@contextmanager
def hook_server(**facts: object) -> Iterator[HookServer]:
    with HookServer(HookAnswer(**facts)) as server:  # type: ignore[arg-type]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join(5)
