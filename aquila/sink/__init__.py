"""Where events go besides the reader's own loop."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aquila.sink.ambient import ambient, ambient_sinks
from aquila.sink.base import Sink
from aquila.sink.callback import CallbackSink, callback
from aquila.sink.collector import Collector, collector
from aquila.sink.file import FileSink, file
from aquila.sink.persist import PersistSink, Store, persist
from aquila.sink.tee import TeeSink, tee
from aquila.sink.transform import TransformSink, transform

if TYPE_CHECKING:
    from aquila.sink.terminal import ConsoleSink, console

__all__ = [
    "CallbackSink",
    "Collector",
    "ConsoleSink",
    "FileSink",
    "PersistSink",
    "Sink",
    "Store",
    "TeeSink",
    "TransformSink",
    "ambient",
    "ambient_sinks",
    "callback",
    "collector",
    "console",
    "file",
    "persist",
    "tee",
    "transform",
]


def __getattr__(name: str) -> Any:
    # The terminal's library is not loaded for a run that prints nothing.
    if name in {"ConsoleSink", "console"}:
        return getattr(import_module("aquila.sink.terminal"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
