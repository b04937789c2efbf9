"""The commands `aquila notify`, `aquila workflow` and `aquila signal`."""

from chimeway.cli.notify import app as notify_app
from chimeway.cli.signal import app as signal_app
from chimeway.cli.workflow import app as workflow_app

__all__ = ["notify_app", "signal_app", "workflow_app"]
