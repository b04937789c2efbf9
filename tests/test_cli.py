from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from aquila.cli.doctor import _api
from aquila.settings import read_settings
from tests import wire
from tests.wire import Connection, Server


def run(
    *arguments: str,
    stdin: str | None = None,
    without: str = "",
    file_size: int = 0,
    folder: Path | None = None,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would; `without` makes a module impossible to import."""
    hide = f"import sys; sys.modules[{without!r}] = None; " if without else "import sys; "
    code = hide + "sys.argv[0] = 'aquila'; from aquila.cli import main; main()"

    def limit() -> None:
        if file_size:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        input=stdin,
        stdin=None if stdin is not None else subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        preexec_fn=limit if file_size else None,
    )


def told(result: subprocess.CompletedProcess[str]) -> str:
    """The one line of an error."""
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("aquila: ")
    return lines[0]


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal("asyncio") as portal:
        yield portal


@pytest.fixture
def server(portal: BlockingPortal) -> Iterator[Server]:
    async def handler(connection: Connection) -> None:
        if "wrong-key" in connection.head:
            connection.start("401 Unauthorized", "application/json")
            connection.send(b'{"error":{"message":"Incorrect API key provided: wrong-key"}}')
            connection.end()
        elif connection.payload["model"] == "nobody":
            connection.start("404 Not Found", "application/json")
            connection.send(
                b'{"error":{"message":"The model `nobody` does not exist","code":"model_not_found"}}'
            )
            connection.end()
        else:
            connection.play(wire.answer("Hel", "lo"))

    with portal.wrap_async_context_manager(wire.serve(handler)) as server:
        yield server


def test_ask_prints_the_answer(server: Server) -> None:
    result = run("ask", "hi", "-m", "m", "-i", "be kind", "--base-url", server.url, "--temperature", "0")

    assert (result.returncode, result.stdout, result.stderr) == (0, "Hello\n", "")
    payload = server.connections[0].payload
    assert [message["content"] for message in payload["messages"]] == ["be kind", "hi"]
    assert payload["temperature"] == 0


def test_ask_prints_json_on_demand(server: Server) -> None:
    answer = json.loads(run("ask", "hi", "--json", "--base-url", server.url).stdout)

    assert (answer["text"], answer["usage"]["total_tokens"], answer["status"]) == ("Hello", 9, "completed")


def test_stream_prints_one_event_a_line_on_demand(server: Server) -> None:
    lines = run("stream", "hi", "--json", "--base-url", server.url).stdout.splitlines()

    assert [json.loads(line)["type"] for line in lines] == [
        "started", "status", "chunk", "chunk", "status", "usage_update", "done",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "stdin", "prompt"),
    [
        (["stream"], "from a pipe\n", "from a pipe"),
        (["stream", "-"], "from a pipe\n", "from a pipe"),
        (["stream", "Summarise:"], "the text\n", "Summarise:\n\nthe text"),
        (["ask", "Summarise:"], "", "Summarise:"),
    ],
)
def test_text_on_stdin_is_put_behind_the_prompt(
    server: Server, arguments: list[str], stdin: str, prompt: str
) -> None:
    result = run(*arguments, "--base-url", server.url, stdin=stdin)

    assert result.stdout == "Hello\n"
    assert server.connections[-1].payload["messages"][-1]["content"] == prompt


def test_nothing_to_ask_is_a_wrong_command_line() -> None:
    result = run("ask", stdin="")

    assert result.returncode == 2
    assert "the prompt is empty" in result.stderr


def test_a_wrong_key_is_told_without_the_key(server: Server) -> None:
    line = told(run("ask", "hi", "--base-url", server.url, OPENAI_API_KEY="wrong-key"))

    assert "401" in line
    assert "check OPENAI_API_KEY" in line
    assert "wrong-key" not in line


def test_a_missing_key_is_told_with_the_way_around() -> None:
    assert "set OPENAI_API_KEY, pass api_key=, or use model='local'" in told(run("ask", "hi"))


def test_an_unreachable_host_is_told() -> None:
    line = told(run("ask", "hi", "--base-url", "http://127.0.0.1:1/v1"))

    assert "cannot reach 127.0.0.1:1: Connection refused; check the base URL and that the server runs" in line


def test_an_unknown_model_is_told(server: Server) -> None:
    line = told(run("ask", "hi", "-m", "nobody", "--base-url", server.url))

    assert "The model `nobody` does not exist (check the model's name and the base URL)" in line


@pytest.mark.parametrize(
    ("arguments", "module", "extra"),
    [
        (["ask", "hi", "-m", "local"], "xllamacpp", "aquila-llm[local]"),
        (["jobs", "ls"], "sqlalchemy", "aquila-llm[jobs]"),
        (["worker"], "dramatiq", "aquila-llm[jobs]"),
        (["cassette", "ls"], "yaml", "aquila-llm[cassettes]"),
    ],
)
def test_a_missing_extra_is_told_with_its_name(arguments: list[str], module: str, extra: str) -> None:
    assert extra in told(run(*arguments, without=module))


def test_a_package_of_the_user_s_that_is_called_jobs_too_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "__init__.py").touch()

    line = told(run("jobs", "ls", folder=tmp_path))

    assert "jobs/__init__.py comes first on the path; rename yours" in line


def test_a_missing_local_model_is_told_with_the_command_that_installs_it() -> None:
    assert "aquila local install" in told(run("ask", "hi", "-m", "local"))


@pytest.mark.parametrize(
    "text", ["version: 1\ninteractions: [", "version: 2\ninteractions: []\n", "<<<<<<< ours\n"]
)
def test_a_broken_cassette_is_told_and_left_alone(tmp_path: Path, server: Server, text: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)

    line = told(
        run(
            "ask",
            "hi",
            "--cassette",
            "x",
            "--base-url",
            server.url,
            AQUILA_CASSETTES="once",
            AQUILA_CASSETTE_DIR=str(tmp_path),
        )
    )

    assert "x.yaml" in line
    assert file.read_text() == text
    assert server.connections == []


def test_a_full_disk_is_told_and_the_answer_is_not_lost_on_the_way(tmp_path: Path, server: Server) -> None:
    result = run(
        "stream", "hi", "--cassette", "x", "--base-url", server.url, file_size=64,
        AQUILA_CASSETTES="rewrite", AQUILA_CASSETTE_DIR=str(tmp_path), PYTHONDONTWRITEBYTECODE="1",
    )  # fmt: skip

    assert "x.yaml" in told(result)
    assert result.stdout.startswith("Hello")


def test_a_state_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    line = told(run("jobs", "ls", AQUILA_STATE_DIR=str(tmp_path / "file" / "state")))

    assert "set AQUILA_STATE_DIR to a folder you may write to" in line


def test_a_state_folder_that_cannot_be_made_is_told_before_the_missing_model(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    line = told(run("ask", "hi", "-m", "local", AQUILA_STATE_DIR=str(tmp_path / "file" / "state")))

    assert "set AQUILA_STATE_DIR to a folder you may write to" in line


def test_debug_shows_where_an_error_comes_from() -> None:
    result = run("ask", "hi", "--debug")

    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_an_unknown_command_is_a_wrong_command_line() -> None:
    assert run("aks", "hi").returncode == 2


def test_help_and_version_name_every_command() -> None:
    output = run("--help").stdout

    for command in ("ask", "stream", "worker", "jobs", "cassette", "local", "doctor"):
        assert re.search(rf"(?m)^\W*{command}\b", output), command
    assert run("--version").stdout.startswith("aquila ")


def test_ctrl_c_ends_with_130_and_without_noise(server: Server, portal: BlockingPortal) -> None:
    async def hang(connection: Connection) -> None:
        connection.start()
        connection.send(wire.delta("x"))
        await anyio.sleep_forever()

    with portal.wrap_async_context_manager(wire.serve(hang)) as slow:
        process = subprocess.Popen(
            [sys.executable, "-m", "aquila.cli", "stream", "hi", "--base-url", slow.url],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.read(1) == "x"
        process.send_signal(2)
        _, errors = process.communicate(timeout=20)

    assert process.returncode == 130
    assert "Traceback" not in errors


def test_doctor_says_what_is_there_and_what_is_wrong(tmp_path: Path) -> None:
    good = run("doctor")
    bad = run("doctor", OPENAI_BASE_URL="http://127.0.0.1:1/v1")

    assert good.returncode == 0, good.stdout
    assert "extra jobs" in good.stdout
    assert "No problem found." in good.stdout
    assert bad.returncode == 1
    assert "PROBLEM  API" in bad.stdout
    assert "cannot reach 127.0.0.1:1" in bad.stdout


@pytest.mark.parametrize("redirect", ["<&-", "< /dev/null"])
def test_a_closed_or_empty_stdin_adds_nothing(server: Server, redirect: str) -> None:
    command = f'"{sys.executable}" -m aquila.cli ask hi --base-url {server.url} {redirect}'

    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=50, check=False)

    assert (result.returncode, result.stdout) == (0, "Hello\n")


def test_stdin_that_is_no_text_is_a_wrong_command_line() -> None:
    command = f"printf 'a\\377b' | '{sys.executable}' -m aquila.cli ask"

    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=50, check=False)

    assert result.returncode == 2
    assert "no UTF-8 text" in result.stderr


def test_doctor_makes_no_folder_and_tells_one_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    good = run("doctor", AQUILA_STATE_DIR=str(tmp_path / "new"))
    bad = run("doctor", AQUILA_STATE_DIR=str(tmp_path / "file" / "state"))

    assert "is made at the first use" in good.stdout
    assert not (tmp_path / "new").exists()
    assert "PROBLEM  state folder" in bad.stdout


def test_doctor_tells_an_api_that_never_answers(
    portal: BlockingPortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(connection: Connection) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr("aquila.cli.doctor._SECONDS", 0.2)
    with portal.wrap_async_context_manager(wire.serve(silent)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        check = _api(read_settings())

    assert (check.state, check.detail) == ("problem", f"{server.url} accepts connections and does not answer")


def test_doctor_tells_a_wrong_key_without_the_key(server: Server) -> None:
    output = run("doctor", OPENAI_BASE_URL=server.url, OPENAI_API_KEY="wrong-key").stdout

    assert "PROBLEM  API" in output
    assert "401" in output
    assert "wrong-key" not in output
