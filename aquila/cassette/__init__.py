"""Record LLM traffic once, replay it exactly, and know when it drifts.

Recording and replaying stand at the transport seam, below the decoder of streams and below retries. Files are those of
vcrpy, format version 1; what vcrpy has no word for stands under `response.aquila`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aquila.cassette.blocks import use
from aquila.cassette.matching.rules import Rules
from aquila.cassette.mode import Mode, resolve_mode
from aquila.cassette.scope import Scope
from aquila.cassette.wrapping import wrap

if TYPE_CHECKING:
    from aquila.cassette.faults import Disconnect, Fault, Garble, SlowFirstByte, Status, Timeout, Truncate
    from aquila.cassette.http_transport import CassetteTransport
    from aquila.cassette.record import RecordTransport
    from aquila.cassette.replay import ReplayTransport

__all__ = [
    "CassetteTransport",
    "Disconnect",
    "Fault",
    "Garble",
    "Mode",
    "RecordTransport",
    "ReplayTransport",
    "Rules",
    "Scope",
    "SlowFirstByte",
    "Status",
    "Timeout",
    "Truncate",
    "resolve_mode",
    "use",
    "wrap",
]


def __getattr__(name: str) -> Any:
    # They need PyYAML, which the client does not, or are of use in tests alone.
    faults = ("Disconnect", "Fault", "Garble", "SlowFirstByte", "Status", "Timeout", "Truncate")
    homes = {
        "CassetteTransport": "http_transport",
        "RecordTransport": "record",
        "ReplayTransport": "replay",
        **dict.fromkeys(faults, "faults"),
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"aquila.cassette.{homes[name]}"), name)


def __dir__() -> list[str]:
    return __all__
