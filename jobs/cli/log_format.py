"""`--log-format` and `--log-level`: what the worker's log looks like, one JSON object a line or text, and what is in it."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import typer

from jobs.log_context import JOB_FIELDS, TRACE_FIELDS, JobFilter

#: What every record has; anything else came by `extra=` or from a filter.
_ORDINARY = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
#: What a line says itself; what comes by `extra=` under such a name is called `extra_level` and so on.
_OWN = {"ts", "level", "logger", "message", "exception", "stack"}
#: What is left out where it is empty.
_OURS = {*JOB_FIELDS, *TRACE_FIELDS}
#: Where the worker's own lines go under JSON.
_WORKER = "jobs.worker"


class LogFormat(StrEnum):
    """What a log can look like."""

    text = "text"
    json = "json"


class LogLevel(StrEnum):
    """From which level on records are told."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"

    @property
    def number(self) -> int:
        """The level as `logging` counts it."""
        return logging.getLevelNamesMapping()[self.name.upper()]


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `ts`, `level`, `logger`, `message`, the job's fields, `extra=` and `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        said: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        for name, value in vars(record).items():
            # The fields of jobs and traces are empty outside them.
            if name not in _ORDINARY and (name not in _OURS or _is_full(value)):
                said[_free_name(name, said)] = value
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            said["exception"] = record.exc_text
        if record.stack_info:
            said["stack"] = self.formatStack(record.stack_info)
        return _one_line(said)


class JobTextFormatter(logging.Formatter):
    """`WARNING what was said [0a1b2c3d explain #2]`: the job stands behind a message that does not name it."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        """Give the line without its traceback."""
        line = super().formatMessage(record)
        job_id = _text(vars(record).get("job_id", ""))[:8]
        if not job_id or job_id in line:
            return line
        actor_name, attempt = (_text(vars(record).get(name, "")) for name in ("actor_name", "attempt"))
        return f"{line} [{job_id} {actor_name} #{attempt}]"


@dataclass(frozen=True, slots=True)
class Voice:
    """How a worker process says its own lines, which are told whatever the level is."""

    tell: Callable[[str], None]
    warn: Callable[[str], None]


def set_up_logging(log_format: LogFormat, level: LogLevel = LogLevel.warning) -> Voice:
    """Set up the logging of a worker process on stderr; give what says the worker's own lines.

    Under JSON these are JSON too, on stdout, of the logger `jobs.worker`.

    Args:
        log_format: What both look like.
        level: From which level on records are told, of whichever logger.
    """
    if log_format is LogFormat.text:
        logging.basicConfig(level=level.number, handlers=[_handler(sys.stderr, JobTextFormatter())])
        return Voice(typer.echo, _warn)
    logging.basicConfig(level=level.number, handlers=[_handler(sys.stderr, JsonFormatter())])
    logging.captureWarnings(capture=True)
    worker = logging.getLogger(_WORKER)
    worker.setLevel(logging.INFO)
    worker.propagate = False
    worker.addHandler(_handler(sys.stdout, JsonFormatter()))
    return Voice(worker.info, worker.warning)


def _warn(doubt: str) -> None:
    typer.echo(f"warning: {doubt}", err=True)


def _handler(stream: Any, formatter: logging.Formatter) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.addFilter(JobFilter())
    return handler


def _one_line(said: dict[str, Any]) -> str:
    try:
        return _json(said)
    except Exception:  # noqa: BLE001 - NaN, a circle, an object that raises: anything may be put beside a record
        return _json({name: _plain(value) for name, value in said.items()})


def _json(value: Any) -> str:
    return json.dumps(value, default=_text, allow_nan=False)


def _plain(value: Any) -> Any:
    try:
        return json.loads(_json(value))
    except Exception:  # noqa: BLE001 - see above; only this field becomes text
        return _text(value)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - it is somebody's class, and may raise what it likes
        return f"<a {type(value).__name__} that cannot be written>"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - an argument that raises, or does not fit
        arguments = record.args if isinstance(record.args, tuple) else (record.args,)
        return " ".join(_text(part) for part in (record.msg, *arguments))


def _is_full(value: object) -> bool:
    try:
        return bool(value)
    except Exception:  # noqa: BLE001 - it came by `extra=`
        return True


def _free_name(name: object, taken: Collection[str]) -> str:
    free = name if isinstance(name, str) else _text(name)
    while free in _OWN or free in taken:
        free = f"extra_{free}"
    return free
