"""What Dramatiq's own command is told: it has no rows, no leases and a thread for each job, so it runs none of ours."""

from __future__ import annotations

import logging
import sys

logger = logging.getLogger("jobs")

_TOLD: set[str] = set()


def note_stock_command(module: str) -> None:
    """Say once for each module, in a process of the command `dramatiq`, which command runs its jobs."""
    main = sys.modules.get("__main__")
    started_by = getattr(getattr(main, "__spec__", None), "name", "") or getattr(main, "__file__", "") or ""
    by_command = "dramatiq.cli" in sys.modules and "dramatiq" in started_by
    if by_command and module not in _TOLD:
        _TOLD.add(module)
        logger.error(
            "the jobs of %s are kept in a database: run `aquila worker %s` instead of `dramatiq`",
            module,
            module,
        )
