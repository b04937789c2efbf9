"""What the workers of the notifications' scenarios run: a notifier, an adapter that does nothing, and a plain job beside it."""

from __future__ import annotations

import os
from pathlib import Path

import chimeway
import jobs
from benchmarks.runners.note import NOTES, note
from soak.moved_clock import MovedClock

READ = "chimeway.notification.read"
QUEUES = "chimeway_delivery=20,chimeway_signals=10,chimeway_workflows=5,bench=20"


class Noting:
    """An adapter that notes that it was called; the text is a number."""

    name = "noting"

    async def deliver(self, message: chimeway.OutgoingMessage) -> chimeway.Receipt:
        """Note the call."""
        note(int(message.content.text), "call")
        return chimeway.Receipt()


class Told(chimeway.Notifier):
    """One message on one channel."""

    notification_key = "bench.told"
    channels = ("push",)

    def push(self, recipient: chimeway.Recipient, params: object) -> chimeway.Content:
        """Say the recipient's number."""
        return chimeway.Content(text=recipient.identity)


class Waiting(Told):
    """One message, and one more after a wait, unless it is read."""

    notification_key = "bench.waiting"
    workflow = chimeway.Workflow(
        "bench.waiting",
        version=1,
        steps=[
            chimeway.Deliver(
                "push", channel="push", rules=[chimeway.Wait(hours=2, to="again", cancel_on=[READ])]
            ),
            chimeway.Deliver("again", channel="push"),
        ],
    )
    again = chimeway.Content(text="{number}")


@jobs.actor(queue_name="bench", max_attempts=1)
async def plain(number: int) -> None:
    """Do what the adapter does."""
    note(number, "call")


chimeway.configure(
    dispatcher="dramatiq",
    channels={"push": Noting()},
    clock=MovedClock(Path(os.environ[NOTES]).with_name("clock")),
    progression="* * * * * *",
)
