from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue
from typing import Any

import anyio
import pytest
from job_values import running_job
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from jobs.cli.log_format import JobTextFormatter, JsonFormatter
from jobs.context import JobContext, running
from jobs.log_context import JobFilter
from jobs.threads import Threads
from jobs.tracing import tracing_attempt

JOB = JobContext(id="0a1b2c3d4e", attempt=2, actor_name="explain", queue_name="llm")
FIELDS = {"job_id": "0a1b2c3d4e", "actor_name": "explain", "queue_name": "llm", "attempt": 2}


class Mute:
    """Raises whatever it is asked."""

    def __str__(self) -> str:
        raise ValueError("no words")

    def __bool__(self) -> bool:
        raise ValueError("no truth")

    __repr__ = __str__


class Log:
    """A user's logger whose handler has the filter, and what it has written."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self._stream = StringIO()
        self.handler = logging.StreamHandler(self._stream)
        self.handler.setFormatter(formatter)
        self.handler.addFilter(JobFilter())
        self.logger = logging.getLogger("shop.orders")
        self.logger.addHandler(self.handler)

    @property
    def lines(self) -> list[str]:
        return self._stream.getvalue().splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line, parse_constant=pytest.fail) for line in self.lines]


@pytest.fixture
def log() -> Iterator[Log]:
    made = Log(JsonFormatter())
    yield made
    made.logger.removeHandler(made.handler)


@pytest.fixture
def text_log() -> Iterator[Log]:
    made = Log(JobTextFormatter())
    yield made
    made.logger.removeHandler(made.handler)


async def test_what_is_said_while_a_job_runs_names_it_in_tasks_and_in_threads(log: Log) -> None:
    async def say_in_a_task() -> None:
        log.logger.warning("task")

    with running(JOB):
        log.logger.warning("here")
        async with anyio.create_task_group() as group:
            group.start_soon(say_in_a_task)
        await Threads(1).run(lambda: log.logger.warning("thread"))
    log.logger.warning("outside")

    said = log.objects
    assert [one["message"] for one in said] == ["here", "task", "thread", "outside"]
    assert all(FIELDS.items() <= one.items() for one in said[:3])
    assert said[3].keys() == {"ts", "level", "logger", "message"}


def test_a_line_of_json_has_its_time_level_logger_and_what_was_put_beside_it(log: Log) -> None:
    log.logger.warning("paid %d of %s", 3, "ü\n", extra={"order": 7, "at": {1}})

    (said,) = log.objects
    assert said.pop("ts").endswith("+00:00")
    assert said == {
        "level": "WARNING",
        "logger": "shop.orders",
        "message": "paid 3 of ü\n",
        "order": 7,
        "at": "{1}",
    }


def test_what_has_the_name_of_a_line_s_own_field_is_kept_beside_it(log: Log) -> None:
    names = ("ts", "level", "logger", "exception", "stack")
    log.logger.warning("x", extra={"extra_level": 1, **dict.fromkeys(names, "mine")})

    (said,) = log.objects
    assert (said["level"], said["logger"]) == ("WARNING", "shop.orders")
    assert "exception" not in said
    assert said["extra_level"] == 1
    kept = ("extra_ts", "extra_extra_level", "extra_logger", "extra_exception", "extra_stack")
    assert [said[name] for name in kept] == ["mine"] * 5


def test_a_value_that_is_no_json_becomes_text_alone(log: Log) -> None:
    log.logger.warning(
        "x", extra={"n": 7, "list": [1, {"a": None}], "ratio": float("nan"), "mute": Mute(), (1, 2): 3}
    )

    (said,) = log.objects
    assert (said["n"], said["list"]) == (7, [1, {"a": None}])
    assert said["ratio"] == "nan"
    assert said["mute"] == "<a Mute that cannot be written>"
    assert said["(1, 2)"] == 3


@pytest.mark.parametrize(
    ("message", "arguments", "said"),
    [
        ("paid %s of %d", (Mute(), 7), "paid %s of %d <a Mute that cannot be written> 7"),
        ("paid %d", ("seven",), "paid %d seven"),
    ],
    ids=["mute", "misfit"],
)
def test_a_message_whose_arguments_cannot_be_written_is_kept(
    message: str, arguments: tuple[object, ...], said: str
) -> None:
    record = logging.LogRecord("shop", logging.WARNING, "x.py", 1, message, arguments, None)

    assert json.loads(JsonFormatter().format(record))["message"] == said


def test_the_job_s_fields_may_be_anything(log: Log, text_log: Log) -> None:
    text_log.logger.warning("x", extra={"job_id": "0a1b", "actor_name": Mute()})

    assert [one["actor_name"] for one in log.objects] == ["<a Mute that cannot be written>"]
    assert text_log.lines == ["WARNING x [0a1b <a Mute that cannot be written> #0]"]


def test_what_a_record_brings_along_is_left_as_it_is(log: Log) -> None:
    with running(JOB):
        log.logger.warning("x", extra={"job_id": "theirs"})

    assert log.objects[0]["job_id"] == "theirs"
    assert log.objects[0]["attempt"] == 2


@pytest.mark.parametrize(
    "value",
    [float("nan"), {(1, 2): 3}, "\ud800", [10**5000], Mute(), [Mute()], {"a": Mute()}],
    ids=["nan", "key", "half", "long", "mute", "list", "dict"],
)
def test_a_value_that_is_no_json_costs_no_record(value: object, log: Log) -> None:
    log.logger.warning("x", extra={"value": value})

    assert log.objects[0]["message"] == "x"
    assert "value" in log.objects[0]


def test_a_value_that_holds_itself_costs_no_record(log: Log) -> None:
    circle: list[object] = []
    circle.append(circle)
    log.logger.warning("x", extra={"value": circle})

    assert log.objects[0]["value"] == "[[...]]"


def test_an_exception_and_a_stack_are_in_the_same_line(log: Log) -> None:
    try:
        {}["gone"]
    except KeyError:
        log.logger.exception("failed", stack_info=True)

    (said,) = log.objects
    assert said["exception"].endswith("KeyError: 'gone'")
    assert said["stack"].startswith("Stack (most recent call last)")


def test_a_line_says_in_which_trace_it_was_said(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider())
    with tracing_attempt(running_job()):
        context = trace.get_current_span().get_span_context()
        log.logger.warning("inside")

    (said,) = log.objects
    assert (said["trace_id"], said["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")


def test_text_names_the_job_behind_a_message_that_does_not(text_log: Log) -> None:
    with running(JOB):
        text_log.logger.warning("paid")
        text_log.logger.warning("job 0a1b2c3d waits")
        text_log.logger.warning("failed", exc_info=KeyError("gone"))
    text_log.logger.warning("outside")

    assert text_log.lines == [
        "WARNING paid [0a1b2c3d explain #2]",
        "WARNING job 0a1b2c3d waits",
        "WARNING failed [0a1b2c3d explain #2]",
        "KeyError: 'gone'",
        "WARNING outside",
    ]


def test_a_host_s_own_configuration_names_the_filter() -> None:
    # In a process of its own, because it closes the handlers of this one.
    script = """
import logging.config
from jobs.context import JobContext, running
logging.config.dictConfig({
    "version": 1,
    "filters": {"job": {"()": "jobs.log_context.JobFilter"}},
    "formatters": {"line": {"format": "%(actor_name)s#%(attempt)d %(job_id)s %(message)s"}},
    "handlers": {"err": {"class": "logging.StreamHandler", "filters": ["job"], "formatter": "line"}},
    "loggers": {"shop": {"handlers": ["err"]}},
})
logger = logging.getLogger("shop")
with running(JobContext(id="0a1b", attempt=2, actor_name="explain", queue_name="llm")):
    logger.warning("paid")
logger.warning("outside")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, timeout=60, capture_output=True, text=True
    )

    assert done.stderr == "explain#2 0a1b paid\n#0  outside\n"


def test_a_queue_takes_the_job_along() -> None:
    seen: list[logging.LogRecord] = []
    queue: SimpleQueue[Any] = SimpleQueue()
    handler, last = QueueHandler(queue), logging.Handler()
    last.emit = seen.append  # type: ignore[method-assign]
    handler.addFilter(JobFilter())
    last.addFilter(JobFilter())
    listener = QueueListener(queue, last)
    logger = logging.getLogger("shop.queued")
    logger.addHandler(handler)
    listener.start()
    try:
        with running(JOB):
            logger.warning("paid")
    finally:
        listener.stop()
        logger.removeHandler(handler)

    assert {name: vars(seen[0])[name] for name in FIELDS} == FIELDS


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_worker_says_its_own_lines_in_the_format_of_its_log(log_format: str) -> None:
    script = f"""
import logging, warnings
from jobs.cli.log_format import LogFormat, set_up_logging
voice = set_up_logging(LogFormat("{log_format}"))
voice.tell("worker ready: 100%d")
voice.warn("it is late")
logging.getLogger("jobs").warning("it waits")
logging.getLogger("shop").info("not told")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, timeout=60, capture_output=True, text=True
    )

    if log_format == "text":
        assert done.stdout == "worker ready: 100%d\n"
        assert done.stderr == "warning: it is late\nWARNING it waits\n"
        return
    out, err = (list(map(json.loads, text.splitlines())) for text in (done.stdout, done.stderr))
    assert [(one["logger"], one["level"], one["message"]) for one in (*out, *err)] == [
        ("jobs.worker", "INFO", "worker ready: 100%d"),
        ("jobs.worker", "WARNING", "it is late"),
        ("jobs", "WARNING", "it waits"),
    ]
