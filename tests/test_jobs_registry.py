from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import job_actors
import pytest

import jobs
from aquila.errors import ConfigError
from jobs import registry
from jobs.registry import OWN_ACTORS, actors
from jobs.runtime import Runtime
from jobs.settings import read_jobs_settings
from jobs.worker import default_queues

pytest_plugins = ["job_fixtures"]


def test_an_actor_is_still_the_function_it_was() -> None:
    assert job_actors.shout("hey") == "HEY"
    assert job_actors.shout.__name__ == "shout"


async def test_calling_an_async_actor_runs_it_in_place() -> None:
    assert await job_actors.add(1, 2) == 3


async def test_outside_a_job_the_context_has_no_id_and_progress_goes_nowhere() -> None:
    await jobs.current().progress(step=1)

    assert jobs.current().id == ""


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_retries": 3}, "unknown option 'max_retries' of jobs.actor; here it is max_attempts"),
        ({"colour": "red"}, "unknown option 'colour'"),
        ({"queue_name": "l l"}, "queue_name 'l l'"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"priority": 9}, "priority"),
        ({"backoff": -1.0}, "backoff"),
        ({"backoff": "2"}, "backoff"),
        ({"actor_name": "9 lives"}, "actor name"),
    ],
)
def test_a_wrong_option_fails_where_the_actor_is_declared(options: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):

        @jobs.actor(**options)  # type: ignore[call-overload]
        def never_declared() -> None: ...

    assert "never_declared" not in actors()


def test_an_actor_may_not_ask_for_a_credential() -> None:
    with pytest.raises(ConfigError, match="takes 'api_key'"):

        @jobs.actor
        def ask_with(api_key: str) -> None: ...


def test_two_actors_of_one_name_are_told_apart_by_their_homes() -> None:
    with pytest.raises(ConfigError, match=r"job_actors\.add and .*test_jobs_registry"):

        @jobs.actor
        def add() -> None: ...


@pytest.mark.parametrize(
    "options",
    [
        {"delay": float("nan")},
        {"delay": True},
        {"at": "tomorrow"},
        {"metadata": 3},
        {"max_attempts": "3"},
        {"delay": 1.0, "at": datetime(2030, 1, 1, tzinfo=UTC)},
        {"at": datetime(2030, 1, 1)},  # noqa: DTZ001 - that is the mistake
        {"priority": 4},
        {"max_attempts": 0},
    ],
    ids=str,
)
def test_options_of_a_send_that_cannot_be_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        job_actors.add.options(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"delay": -1}, "delay=-1 must be seconds from zero"),
        ({"delay": "1"}, "delay='1' must be seconds from zero"),
        ({"delay": None}, "delay=None must be seconds from zero"),
        ({"metadata": {"a": object()}}, "metadata 'a' is of type object; use JSON values or pydantic models"),
    ],
)
def test_a_wrong_option_of_a_send_is_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        job_actors.add.options(**options)  # type: ignore[arg-type]

    assert str(refused.value) == said


def test_the_actors_that_every_worker_knows_are_those_of_the_package() -> None:
    assert jobs.stream_prompt.spec.actor_name == "stream_prompt"

    assert {name for name, spec in actors().items() if spec.fn.__module__ == "jobs.llm"} == OWN_ACTORS


@pytest.mark.parametrize("module", ["sqlalchemy", "dramatiq"])
def test_without_the_extra_the_first_use_names_it(module: str) -> None:
    script = f"import sys; sys.modules[{module!r}] = None; import jobs; jobs.actor"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    last = done.stderr.splitlines()[-1]
    assert last == (
        f"aquila.errors.ConfigError: jobs need {module}, which is not installed: pip install 'aquila-llm[jobs]'"
    )


def test_a_message_is_a_job_that_is_not_added_yet() -> None:
    new = job_actors.add.options(priority=1, metadata={"for": "anna"}).message(1, b=2)

    assert new.arguments == {"args": [1, 2], "kwargs": {}}
    assert (new.actor_name, new.priority, new.metadata) == ("add", 1, {"for": "anna"})


def test_importing_actors_opens_nothing(tmp_path: Path) -> None:
    script = "import sys; sys.path.insert(0, sys.argv[1]); import job_actors; print(job_actors.add)"
    command = [sys.executable, "-c", script, str(Path(__file__).parent)]

    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)

    assert done.stdout == "Actor('add', queue_name='default')\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("place")
def test_configuring_comes_first_and_once() -> None:
    with pytest.raises(ConfigError, match="configured already"):
        jobs.configure(lease=3.0)


async def test_an_actor_called_in_place_uses_its_cassette_and_is_no_job() -> None:
    @jobs.actor(actor_name="in_place", cassette="tests/in_place")
    async def coroutine() -> tuple[str, str | None]:
        return jobs.current().id, jobs.current().cassette

    @jobs.actor(actor_name="in_place_too", cassette="tests/in_place")
    def plain() -> tuple[str, str | None]:
        return jobs.current().id, jobs.current().cassette

    assert await coroutine() == ("", "tests/in_place")
    assert plain() == ("", "tests/in_place")
    assert jobs.current().cassette is None


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """An actor on a queue of its library's own."""
    monkeypatch.setattr(registry, "_ACTORS", dict(registry._ACTORS))
    monkeypatch.setattr(registry, "_LIMITS", {})

    @jobs.actor(actor_name="deliver", queue_name="deliveries")
    def deliver() -> None: ...


@pytest.mark.usefixtures("library")
def test_a_library_says_how_many_jobs_of_its_queue_run_at_once() -> None:
    used = Runtime(read_jobs_settings())
    assert default_queues(used)["deliveries"] == 10

    jobs.declare_queue("deliveries", limit=20)
    jobs.declare_queue("deliveries", limit=20)
    jobs.declare_queue("of_nobody", limit=5)

    assert default_queues(used)["deliveries"] == 20
    assert "of_nobody" not in default_queues(used)


@pytest.mark.usefixtures("library")
def test_the_host_has_the_last_word_about_a_library_s_queue() -> None:
    jobs.declare_queue("deliveries", limit=20)

    assert default_queues(Runtime(read_jobs_settings(queues={"deliveries": 3})))["deliveries"] == 3


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("name", "limit", "words"),
    [
        ("no spaces", 5, "queue name 'no spaces' may hold"),
        ("deliveries", 0, "'deliveries' needs a limit of at least 1"),
        ("llm", 5, r"the queue 'llm' is the host's; .*jobs\.configure\(queues=\)"),
        ("taken", 5, "the queue 'taken' is declared with the limit 4 already, and not with 5"),
    ],
)
def test_a_queue_that_cannot_be_declared_is_named(name: str, limit: int, words: str) -> None:
    jobs.declare_queue("taken", limit=4)

    with pytest.raises(ConfigError, match=words):
        jobs.declare_queue(name, limit=limit)
