"""An HTTP server in a thread, for clients that block and for libraries that want the event loop for themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

#: Bytes to send as one chunk, an event to wait for, the end of the connection in the middle of a body, or silence until
#: the client has gone.
Step = bytes | threading.Event | Literal["CLOSE", "LINGER"]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the server answers to one request."""

    steps: Sequence[Step] = ()
    status: int = 200
    headers: Sequence[tuple[str, str]] = (("content-type", "text/event-stream"),)


def reply(*steps: Step, status: int = 200, **headers: str) -> Reply:
    """Make a reply; server-sent events unless a content type is given."""
    named = {"content_type": "text/event-stream", **headers}
    listed = [(name.replace("_", "-"), value) for name, value in named.items()]
    return Reply(steps=steps, status=status, headers=listed)


@dataclass
class Seen:
    """One request as the server saw it."""

    method: str
    path: str
    #: Names in lower case.
    headers: dict[str, str]
    body: bytes


@dataclass
class ThreadServer:
    """Where it listens and what came in."""

    url: str = ""
    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    #: Set when the server stops, so that nobody goes on waiting.
    over: threading.Event = field(default_factory=threading.Event)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_request(self, *args: object) -> None:
        """Say nothing."""

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        chosen = self.server.choose(Seen(self.command, self.path, headers, body))
        self.send_response(chosen.status)
        for name, value in (*chosen.headers, ("transfer-encoding", "chunked")):
            self.send_header(name, value)
        self.end_headers()
        try:
            self._play(chosen)
        except OSError:
            # The client has closed early, as some tests want.
            self.close_connection = True

    def _play(self, chosen: Reply) -> None:
        for step in chosen.steps:
            if isinstance(step, bytes):
                self.wfile.write(f"{len(step):x}\r\n".encode() + step + b"\r\n")
            elif isinstance(step, threading.Event):
                step.wait(10)
            else:
                self.close_connection = True
                self.server.facts.over.wait(10 if step == "LINGER" else 0)
                return
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = answer  # noqa: N815 - names of the standard library


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, replies: Sequence[Reply]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        port = self.server_address[1]
        self.facts = ThreadServer(f"http://127.0.0.1:{port}", port)
        self._replies = replies
        self._counting = threading.Lock()

    def choose(self, seen: Seen) -> Reply:
        with self._counting:
            self.facts.seen.append(seen)
            return self._replies[min(len(self.facts.seen), len(self._replies)) - 1]


@contextmanager
def serve_in_thread(*replies: Reply) -> Iterator[ThreadServer]:
    """Answer one reply after the other; the last one is repeated."""
    server = _Server(replies)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.facts
    finally:
        server.facts.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
