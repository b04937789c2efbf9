"""Thousands of notifications through a storm of faults; one table at the end, and exit code 1 if a promise was broken.

`make soak` runs it. It needs no key and no server of yours, and leaves no process and no file behind.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A script's own folder comes first on the path, and there `import jobs` would find another file.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from soak.notify_course import main  # noqa: E402 - only now is it found


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Push notifications through a storm of faults and check every one."
    )
    parser.add_argument(
        "--notifications", type=int, default=2_500, help="of three steps each (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="of orders, faults and readers (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds-limit",
        type=float,
        default=420.0,
        help="what is not over by then is lost (default: %(default)s)",
    )
    parser.add_argument(
        "--database",
        choices=["sqlite", "postgresql"],
        default="sqlite",
        help="where the rows are (default: %(default)s)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    chosen = options()
    postgresql = chosen.database == "postgresql"
    sys.exit(main(chosen.notifications, chosen.seed, chosen.seconds_limit, postgresql=postgresql))
