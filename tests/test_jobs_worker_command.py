from __future__ import annotations

import logging
import sys
from pathlib import Path

import anyio
import pytest
from job_workers import Valkey, WorkerProcess, aquila, one_line, until

from aquila.errors import ConfigError
from jobs.cli.loading import import_actors
from jobs.cli.quiet import SILENCE, Quiet
from jobs.errors import StorageError

pytest_plugins = ["job_fixtures"]
pytestmark = pytest.mark.usefixtures("place")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("./myjobs.py", "myjobs"),
        ("myjobs.py", "myjobs"),
        ("shop/orders.py", "shop.orders"),
        ("../other/myjobs.py", "myjobs"),
        (".", "one that declares actors"),
    ],
)
def test_a_path_is_no_module_and_the_module_is_named(name: str, meant: str, tmp_path: Path) -> None:
    (tmp_path / "myjobs.py").touch()

    said = one_line(aquila("worker", name, cwd=tmp_path))

    assert f"{name!r} is no module name; write {meant}\n" in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import nowhere.at_all", "the module shop cannot be imported: its import nowhere is missing"),
        ("from json import nothing", "the module shop cannot be imported: cannot import name 'nothing'"),
    ],
)
def test_a_module_that_lacks_an_import_is_told_with_it(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(line + "\n")

    assert said in one_line(aquila("worker", "shop", cwd=tmp_path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n1 / 0\n", "ZeroDivisionError: division by zero (shop.py, line 2)"),
        (
            "import json\n\njson.loads('{')\n",
            "enclosed in double quotes: line 1 column 2 (char 1) (shop.py, line 3)",
        ),
        ("def f(:\n", "SyntaxError: invalid syntax (shop.py, line 1)"),
        ("import jobs\n\n@jobs.actor(priority=9)\ndef f(): ...\n", "not 9 (shop.py, line 3)"),
        ("import sys\n\nsys.exit()\n", "it ends the process when it is imported (shop.py, line 3)"),
    ],
    ids=["error", "in a library", "syntax", "ours", "exit"],
)
def test_a_module_that_fails_is_told_with_the_place(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    with pytest.raises(ConfigError) as failed:
        import_actors(["shop"])

    told = str(failed.value)
    assert told.startswith("the module shop cannot be imported: ")
    assert told.endswith(f"{said}; run again with --debug for the traceback")


def test_the_traceback_of_a_module_that_fails_is_there_on_request(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("def price():\n    return 1 / 0\n\nprice()\n")

    shown = aquila("worker", "shop", "--processes", "2", "--debug", cwd=tmp_path)

    assert shown.returncode == 1
    assert "return 1 / 0" in shown.stderr
    assert "(shop.py, line 2)" in shown.stderr


@pytest.mark.parametrize(("level", "seen", "processes"), [("warning", False, "1"), ("info", True, "2")])
async def test_the_level_of_the_log_is_chosen(level: str, seen: bool, processes: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("import logging\n\nlogging.getLogger('shop').info('open')\n")
    arguments = ("shop", "--log-level", level, "--processes", processes)

    with WorkerProcess(tmp_path, *arguments) as worker:
        await worker.ready()
        assert ("INFO open" in worker.said) is seen


@pytest.mark.parametrize("name", ["jobs", "jobs.mine", "jobs.llm"])
def test_a_module_of_the_host_s_package_called_jobs_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "__init__.py").touch()

    said = one_line(aquila("worker", name, cwd=tmp_path))

    assert f"not in your {tmp_path / 'jobs'}: two packages are called 'jobs'; rename yours" in said


async def test_a_short_lease_and_a_queue_that_nobody_uses_are_doubted(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, "--queues", "typo=3,llm", lease=0.5) as worker:
        await worker.ready()

    doubts = [line for line in worker.said.splitlines() if line.startswith("warning: ")]
    assert len(doubts) == 2
    assert "--lease 0.5 is below 1 s" in doubts[0]
    assert doubts[1] == "warning: no loaded actor uses the queue 'typo'; they use default, llm"


def test_the_same_cause_is_told_once_in_a_while() -> None:
    now = 0.0
    quiet = Quiet(clock=lambda: now)

    def told(message: str, *args: object, level: int = logging.WARNING) -> bool:
        return quiet.filter(logging.LogRecord("jobs", level, "", 0, message, args, None))

    full, locked = StorageError("the disk is full"), StorageError("it is locked")
    assert told("job %s waits: %s", "1", full)
    assert not told("job %s waits: %s", "2", full)
    assert told("job %s waits: %s", "2", locked)
    assert told("leases: %s", full)
    assert told("job %s raised: %s", "1", full, level=logging.ERROR)
    assert told("no cause")
    assert told("no cause")
    now = SILENCE
    assert told("job %s waits: %s", "2", full)


async def test_an_outage_does_not_fill_the_log(own_valkey: Valkey, tmp_path: Path) -> None:
    with WorkerProcess(tmp_path / "work", AQUILA_REDIS_URL=own_valkey.url) as worker:
        await worker.ready()
        own_valkey.stop()
        await until(lambda: "WARNING queue" in worker.said)
        await anyio.sleep(2.5)
        lines = [line for line in worker.said.splitlines() if line.startswith("WARNING queue")]
        own_valkey.start()

    causes = [line.partition(" waits: ")[2] for line in lines]
    assert len(causes) == len(set(causes))
