"""For tests of shared servers: a small real one, clients in processes of their own, and waiting on conditions."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aquila.file_lock import is_locked
from aquila.server_folder import ServerFolder
from aquila.shared_server import ServerSpec, stop

TINY_SERVER = '''
import os, subprocess, sys
from aquila import supervisor
from aquila.errors import ConfigError

LISTEN = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    listener.accept()[0].close()
"""

class Tiny:
    def start(self, lock):
        fault = os.environ.get("TINY_FAULT")
        if fault == "config":
            raise ConfigError("the moon is in the wrong phase")
        if fault == "exit":
            os._exit(7)
        self.child = subprocess.Popen([sys.executable, "-c", LISTEN], stdout=subprocess.PIPE, pass_fds=[lock])
        port = int(self.child.stdout.readline())
        return {"url": f"http://127.0.0.1:{port}", "server": self.child.pid}

    def alive(self):
        return self.child.poll() is None

    def stop(self):
        if hasattr(self, "child"):
            self.child.terminate()
            self.child.wait()

options = supervisor.arguments().parse_args()
supervisor.run(Tiny(), options.folder, options.linger)
'''

CLIENT = """
import dataclasses, json, pathlib, sys
from aquila.shared_server import ServerSpec, attach
spec = ServerSpec(**json.loads(sys.argv[1]))
attachment = attach(spec, pathlib.Path(sys.argv[2]))
print(json.dumps(dict(attachment.address)), flush=True)
sys.stdin.read()
attachment.release()
"""


@dataclass
class Client:
    """A process that attaches to a server and stays until it is told to go."""

    spec: ServerSpec
    state_dir: Path
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        facts = {name: getattr(self.spec, name) for name in ("name", "module", "linger", "instead")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, json.dumps(facts), str(self.state_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def address(self) -> dict[str, Any]:
        """Wait until it is attached."""
        assert self.process.stdout is not None
        address: dict[str, Any] = json.loads(self.process.stdout.readline())
        return address

    def kill(self) -> None:
        """End it with SIGKILL, or collect it if it has ended."""
        self.process.kill()
        self.process.communicate()

    def leave(self) -> None:
        """Let it release the server and end."""
        self.process.communicate("")
        assert self.process.returncode == 0


@contextmanager
def clients(spec: ServerSpec, state_dir: Path, number: int = 1) -> Iterator[list[Client]]:
    """Start that many clients at once; none survives the block."""
    started = [Client(spec, state_dir) for _ in range(number)]
    try:
        yield started
    finally:
        for client in started:
            client.kill()


@contextmanager
def tiny_server(folder: Path, monkeypatch: pytest.MonkeyPatch, linger: float = 30.0) -> Iterator[ServerSpec]:
    """Give a small server to share, whose supervisors find its module; nothing of it survives the block."""
    modules = folder / "modules"
    modules.mkdir()
    (modules / "tiny_server.py").write_text(TINY_SERVER)
    monkeypatch.setenv("PYTHONPATH", str(modules))
    yield ServerSpec(name="tiny", module="tiny_server", linger=linger, instead="use another system")
    end("tiny", folder / "state")


def end(name: str, state_dir: Path) -> None:
    """Stop a server in any way it takes, and check that nothing of it is left."""
    assert stop(name, state_dir, force=True)
    assert not lives(name, state_dir)


def lives(name: str, state_dir: Path) -> bool:
    """Say whether a supervisor or a server is there."""
    folder = ServerFolder(state_dir / name)
    return is_locked(folder.owner) or is_locked(folder.server)


def eventually(condition: Callable[[], bool], within: float = 10.0) -> None:
    """Wait until the condition holds, at most `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
