"""Runs the code blocks of the documents: `pytest README.md docs`.

Python blocks run in order, in one namespace for each document. A block that begins with `# file: NAME` is saved under
that name. Shell blocks run with bash; one that begins with `# second terminal` runs in the background until the
document ends. Everything happens in a temporary folder, offline: cassettes replay, and no key is set.

`pytest --aquila-record=rewrite` records the project's cassettes anew from the local model, in documents and tests alike.
"""

from __future__ import annotations

import ast
import inspect
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, SkipParser

import jobs
from aquila.local.attach import server_name
from aquila.shared_server import stop
from aquila.transport import local_transport
from jobs.embedded import SERVER_NAME
from tests.project_cassettes import cassette_settings

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent


def set_up(namespace: dict[str, Any]) -> None:
    folder = tempfile.TemporaryDirectory(prefix="aquila-docs-")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AQUILA_", "OPENAI_"))}
    namespace["_folder"], namespace["_children"], namespace["_environ"] = folder, [], dict(os.environ)
    cassettes = cassette_settings()
    os.environ.clear()
    os.environ.update(
        kept,
        AQUILA_STATE_DIR=f"{folder.name}/state",
        **cassettes,
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}",
    )
    namespace["_cwd"] = Path.cwd()
    os.chdir(folder.name)
    sys.path.insert(0, folder.name)


def tear_down(namespace: dict[str, Any]) -> None:
    for child in namespace["_children"]:
        os.killpg(child.pid, signal.SIGINT)
        child.wait(30)
    jobs.close()
    anyio.run(local_transport().aclose)
    for name in (
        server_name(None),
        SERVER_NAME,
        server_name(Path(os.environ.get("AQUILA_LOCAL_MODEL", "none"))),
    ):
        stop(name, Path(os.environ["AQUILA_STATE_DIR"]))
    sys.path.remove(namespace["_folder"].name)
    os.chdir(namespace["_cwd"])
    os.environ.clear()
    os.environ.update(namespace["_environ"])
    namespace["_folder"].cleanup()


def run_python(example: Example) -> None:
    source = example.parsed
    if source.startswith("# file: "):
        Path(source.splitlines()[0].removeprefix("# file: ")).write_text(source)
        return
    lines = "\n" * (example.line + example.parsed.line_offset)
    code = compile(lines + source, example.path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if code.co_flags & inspect.CO_COROUTINE:

        async def main() -> None:
            await eval(code, example.namespace)  # noqa: S307 - our own documents

        anyio.run(main)
    else:
        exec(code, example.namespace)  # noqa: S102 - our own documents


def run_shell(example: Example) -> None:
    command = ["bash", "-euo", "pipefail", "-c", example.parsed]
    if example.parsed.startswith("# second terminal"):
        with Path("second-terminal.log").open("wb") as log:
            child = subprocess.Popen(
                command, start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        example.namespace["_children"].append(child)
        return
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"{example.parsed}\n{done.stdout}\n{done.stderr}"


pytest_collect_file = Sybil(
    parsers=[
        CodeBlockParser(language="python", evaluator=run_python),
        CodeBlockParser(language="bash", evaluator=run_shell),
        SkipParser(),
    ],
    patterns=["*.md"],
    setup=set_up,
    teardown=tear_down,
).pytest()
