"""What worker processes of chimeway's tests import: the notifiers, and an adapter and a clock that files tell about."""

from __future__ import annotations

import os
from pathlib import Path

from chimeway_notifiers import Both, FileAdapter, FileClock, Mention, Welcome

import chimeway

FOLDER = Path(os.environ["CHIMEWAY_TEST_FOLDER"])

chimeway.configure(
    dispatcher="dramatiq",
    channels={"email": FileAdapter(FOLDER / "sent")},
    clock=FileClock(FOLDER / "clock"),
    progression="* * * * * *",
    timeout=float(os.environ.get("CHIMEWAY_TEST_TIMEOUT", "30")),
)

__all__ = ["Both", "Mention", "Welcome"]
