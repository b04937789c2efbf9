"""What hosts and workers of the soak of notifications import: a journey of three deliveries, and adapters that fail by lot."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import anyio

import chimeway
from chimeway.errors import Bounced, PermanentFailure, TemporaryFailure
from soak.calls import note
from soak.moved_clock import MovedClock, machine_time

#: The soak's folder, and its seed.
FOLDER, SEED = "SOAK_FOLDER", "SOAK_SEED"
READ = "chimeway.notification.read"
#: What stands in every content and address, and may not be found in jobs and logs.
SECRET = "between-you-and-me"  # noqa: S105 - it is what must not leak
#: Of a hundred calls for e-mail: those that fail for now, those that fail for good, and those whose address bounces.
TEMPORARY, PERMANENT, BOUNCING = 20, 2, 1
#: Of a thousand calls: those that take their time, and those that take longer than they may.
SLOW, ENDLESS = 15, 3
SHORTEST, LONGEST, TOO_LONG, TIMEOUT = 0.3, 2.0, 4.5, 3.0
#: Seconds on the moved clock until the second attempt.
BACKOFF = 0.3


class Journey(chimeway.Notifier):
    """In the app, then by e-mail, then by e-mail once more, unless it is read."""

    notification_key = "soak.journey"
    in_app = chimeway.Content(text=f"{{title}}: {SECRET}")
    email = chimeway.Content(subject="{title}", text=f"{{title}}, in full: {SECRET}")
    reminder = chimeway.Content(subject="{title}, again", text=f"{{title}}, once more: {SECRET}")
    workflow = chimeway.Workflow(
        "soak.journey",
        version=1,
        steps=[
            chimeway.Deliver(
                "inbox", channel="in_app", rules=[chimeway.Wait(hours=2, to="email", cancel_on=[READ])]
            ),
            chimeway.Deliver(
                "email",
                channel="email",
                rules=[
                    chimeway.Stop("bounced"),
                    chimeway.Wait(hours=1, to="reminder", cancel_on=[READ]),
                ],
            ),
            chimeway.Deliver("reminder", channel="email"),
        ],
    )


class Lot:
    """Decides by delivery and attempt, so that every process would decide the same."""

    def __init__(self, seed: str, delivery_id: str, attempt: int) -> None:
        self._chance = random.Random(f"{seed} {delivery_id} {attempt}")  # noqa: S311 - it must be repeatable

    def pause(self) -> float:
        """Give the seconds that the call takes."""
        lot = self._chance.randrange(1000)
        if lot < SLOW:
            return self._chance.uniform(SHORTEST, LONGEST)
        return TOO_LONG if lot < SLOW + ENDLESS else 0.0

    def end(self) -> str:
        """Give how the call ends."""
        lot = self._chance.randrange(100)
        for part, end in ((TEMPORARY, "temporary"), (PERMANENT, "permanent"), (BOUNCING, "bounced")):
            if lot < part:
                return end
            lot -= part
        return "ok"


class InApp:
    """Shows it, at once but for some."""

    name = "in_app"

    def __init__(self, folder: Path, seed: str) -> None:
        self._calls, self._seed = folder / "calls", seed

    async def deliver(self, message: chimeway.OutgoingMessage) -> chimeway.Receipt:
        """Note the call."""
        about = (message.delivery_id, message.attempt)
        note(self._calls, "begin", *about, machine_time(), os.getpid())
        await anyio.sleep(Lot(self._seed, *about).pause())
        note(self._calls, "ok", *about)
        return chimeway.Receipt()


class Email:
    """Sends it, if the lot wills."""

    name = "email"
    needs_address = True

    def __init__(self, folder: Path, seed: str) -> None:
        self._calls, self._seed = folder / "calls", seed

    def deliver(self, message: chimeway.OutgoingMessage) -> chimeway.Receipt:
        """Note the call, and end it as the lot says.

        Raises:
            TemporaryFailure: The lot says so.
            PermanentFailure: The lot says so.
            Bounced: The lot says so.
        """
        about = (message.delivery_id, message.attempt)
        lot = Lot(self._seed, *about)
        note(self._calls, "begin", *about, machine_time(), os.getpid())
        time.sleep(lot.pause())
        end = lot.end()
        note(self._calls, end, *about)
        match end:
            case "temporary":
                raise TemporaryFailure("the soak's server is busy")
            case "permanent":
                raise PermanentFailure("the soak's server does not want it")
            case "bounced":
                raise Bounced("nobody of that name")
        return chimeway.Receipt(provider_message_id=message.delivery_id)


def _address(identity: str, channel: str) -> str | None:
    return f"{SECRET}-{identity}@example.org" if channel == "email" else None


if FOLDER in os.environ:
    _FOLDER, _SEED = Path(os.environ[FOLDER]), os.environ[SEED]
    chimeway.configure(
        dispatcher="dramatiq",
        channels={"in_app": InApp(_FOLDER, _SEED), "email": Email(_FOLDER, _SEED)},
        addresses=_address,
        clock=MovedClock(_FOLDER / "clock"),
        backoff=BACKOFF,
        timeout=TIMEOUT,
        progression="* * * * * *",
    )
