"""A reader of a live stream that leaves and comes back at random places, and what it must have read."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

import jobs
from jobs.follower import JobEvent
from jobs.rows import Job
from soak.patience import patient

#: Events a reader takes before it leaves.
FEWEST, MOST = 3, 30
#: How often a reader comes back with nothing.
FORGETFUL = 0.1
#: How a stream ends whose row ends in a state.
ENDS = {"completed": "done", "cancelled": "cancelled", "discarded": "failed"}
#: Characters to show on both sides of a difference.
NEAR = 12


@dataclass(slots=True)
class Reading:
    """What one reader has, after any number of interruptions."""

    job_id: str
    #: When the job was sent, on the monotonic clock.
    sent: float
    ended: float = 0.0
    events: list[JobEvent] = field(default_factory=list)
    reconnects: int = 0

    @property
    def text(self) -> str:
        """The text of the final attempt."""
        text = ""
        for event in self.events:
            text = "" if event.type == "attempt" else text + event.text
        return text

    async def run(self, seed: int) -> None:
        """Read to the job's end."""
        chance = random.Random(seed)  # noqa: S311 - it must be repeatable, it hides nothing
        while not (self.events and self.events[-1].ends):
            await patient(self._read, chance.randint(FEWEST, MOST))
            if not self.events[-1].ends:
                self._forget(chance)
        self.ended = time.monotonic()

    async def _read(self, patience: int) -> None:
        async with jobs.follow(self.job_id, after=self.events[-1].cursor if self.events else None) as said:
            async for event in said:
                self.events.append(event)
                patience -= 1
                if patience <= 0 and not event.ends:
                    break

    def _forget(self, chance: random.Random) -> None:
        # As a page that kept an older cursor: what came behind it is read again. Now and then all of it.
        keep = 0 if chance.random() < FORGETFUL else chance.randint(len(self.events) // 2, len(self.events))
        del self.events[keep:]
        self.reconnects += 1


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be said of one reading."""

    #: What is wrong with it; empty if nothing is.
    wrong: str = ""
    #: Redis was emptied at the end of the job, so that the rest of the text is in its row alone, as it may be.
    from_row: bool = False


def judge(reading: Reading, job: Job, expected: str, emptied: list[float]) -> Judgement:
    """Compare what was read with what had to be said.

    Args:
        reading: The reading.
        job: The job's row at the end.
        expected: The text of a whole answer.
        emptied: When Redis was flushed or killed.
    """
    wrong = _wrong_frame(reading, job) or _wrong_text(reading.text, expected)
    if wrong or job.state != "completed" or reading.text == expected:
        return Judgement(wrong)
    if any(reading.sent <= moment <= reading.ended for moment in emptied):
        return Judgement(from_row=True)
    return Judgement(f"its end is missing behind {reading.text[-20:]!r}")


def _wrong_frame(reading: Reading, job: Job) -> str:
    if not reading.ended:
        return f"its reader did not reach the end, after {len(reading.events)} events"
    *said, last = reading.events
    if last.type != ENDS.get(job.state):
        return f"its stream ended with {last.type!r}, its row is {job.state}"
    if last.output != job.output:
        return "the last event does not have the row's output"
    # The last event has the row's number, and that is lower if the last attempt was put back before a cancellation.
    attempts = [event.attempt for event in said]
    return "" if attempts == sorted(attempts) else f"an older attempt spoke after a newer one: {attempts}"


def _wrong_text(text: str, expected: str) -> str:
    if expected.startswith(text):
        return ""
    same = next((i for i, (a, b) in enumerate(zip(text, expected, strict=False)) if a != b), len(expected))
    near = slice(max(0, same - NEAR), same + NEAR)
    return f"gap or duplicate at character {same}: {text[near]!r}, not {expected[near]!r}"
