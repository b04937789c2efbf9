"""OpenTelemetry spans and metrics for whoever listens, and one log line for each HTTP request.

This package alone spells OpenTelemetry's names. Nothing of OpenTelemetry is imported, and a run pays next to nothing,
unless the application itself has set up a provider of traces or of metrics.
"""

from __future__ import annotations

from aquila.telemetry.request_log import log_request
from aquila.telemetry.run import RunTelemetry, start_run
from aquila.telemetry.tool import ToolTelemetry

__all__ = ["RunTelemetry", "ToolTelemetry", "log_request", "start_run"]
