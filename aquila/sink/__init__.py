"""Where events go besides the reader's own loop."""

from aquila.sink.ambient import ambient, ambient_sinks
from aquila.sink.base import Sink
from aquila.sink.callback import CallbackSink, callback
from aquila.sink.collector import Collector, collector

__all__ = ["CallbackSink", "Collector", "Sink", "ambient", "ambient_sinks", "callback", "collector"]
