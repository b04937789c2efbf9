"""The migrations of chimeway's tables, which `aquila db upgrade` runs together with those of the jobs."""

from pathlib import Path

from jobs.migrate import Track

TRACK = Track(name="notifications", head="chimeway_0002", folder=Path(__file__).parent / "versions")  # noqa: RUF067 - the entry point names it
