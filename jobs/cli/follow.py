"""What `aquila jobs follow` prints: the text on stdout, notices on stderr."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import typer

from jobs.errors import JobCancelled, JobFailed
from jobs.follower import JobEvent, follow
from jobs.rows import Job

#: Characters of an id that people are shown.
SHORT = 8


async def print_events(job_id: str, as_json: bool) -> None:
    """Print a job's events while they come.

    Args:
        job_id: The job.
        as_json: Print each event as a line of JSON instead.

    Raises:
        JobFailed: The job was discarded or cancelled.
    """
    printer = Printer()
    async with follow(job_id) as events:
        async for event in events:
            if as_json:
                typer.echo(json.dumps(event.to_dict()))
            else:
                printer.tell(event)
    if event.type == "cancelled":
        _raise_cancelled(job_id)
    if event.type == "failed":
        _raise_discarded(job_id, event.data)


def print_stored(job: Job) -> None:
    """Print the stored output of a job that has ended: what its attempts said on the way is void.

    Raises:
        JobFailed: The job was discarded or cancelled.
    """
    printer = Printer()
    printer.write(job.output or "")
    if job.state == "cancelled":
        printer.end_line()
        _raise_cancelled(job.job_id)
    if job.state == "discarded":
        printer.end_line()
        _raise_discarded(job.job_id, job.errors[-1] if job.errors else {})
    printer.end_line(even_if_empty=True)


class Printer:
    """Prints events as text, and knows where its line stands."""

    def __init__(self) -> None:
        #: Whether the running attempt has said anything.
        self._said = False
        #: Whether any attempt has, so that its text is in a redirected file too.
        self._printed = False
        self._inside_line = False

    def tell(self, event: JobEvent) -> None:
        """Print one event."""
        match event.type:
            case "chunk":
                self.write(event.text)
            case "attempt" if event.attempt > 1 or self._printed:
                self.end_line()
                # Where the void text is, its reader must be told; else it is news like any other.
                typer.echo(f"[attempt {event.attempt}: it starts over]", err=not self._printed)
                self._said = False
            case "retry":
                self.end_line()
                typer.echo(f"[{event.data['error']}; again in {event.data['delay']:.0f} s]", err=True)
            case "done":
                if not self._said:
                    # An actor may return what it did not stream.
                    self.write(event.output or "")
                self.end_line(even_if_empty=True)
            case "failed" | "cancelled":
                self.end_line()

    def write(self, text: str) -> None:
        """Print text as it is."""
        if text:
            typer.echo(text, nl=False)
            self._said = self._printed = True
            self._inside_line = not text.endswith("\n")

    def end_line(self, *, even_if_empty: bool = False) -> None:
        """Begin a new line if this one holds anything, or if the attempt said nothing at all."""
        if self._inside_line or (even_if_empty and not self._said):
            typer.echo("")
            self._inside_line = False


def _raise_cancelled(job_id: str) -> NoReturn:
    raise JobCancelled(f"job {job_id[:SHORT]} was cancelled", job_id=job_id)


def _raise_discarded(job_id: str, why: dict[str, Any]) -> NoReturn:
    said = f"{why.get('error')}: {why.get('message')}" if why else "no reason is stored"
    raise JobFailed(f"job {job_id[:SHORT]} was discarded: {said}", job_id=job_id)
