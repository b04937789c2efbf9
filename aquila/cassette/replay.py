"""Replaying: recorded answers with their chunk boundaries, at any speed, with no socket and no model."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import anyio

from aquila.cassette.fault_plan import FaultPlan
from aquila.cassette.faults import Fault
from aquila.cassette.file.disk import read
from aquila.cassette.holding import standing
from aquila.cassette.interaction import Interaction
from aquila.cassette.journal import JOURNAL
from aquila.cassette.matching.drift import Drift, explain, goal_text
from aquila.cassette.matching.match import Index, request_key
from aquila.cassette.matching.rules import Rules
from aquila.cassette.opened import OpenedByHand
from aquila.cassette.playback import (
    Pace,
    Playback,
    ReplayedResponse,
    Schedule,
    check_speed,
    fail,
    is_unanswered,
)
from aquila.cassette.rerecord import command
from aquila.cassette.secrets.secret import environment_secrets
from aquila.errors import CassetteMismatch, CassetteMissing
from aquila.transport.base import Request, TransportResponse
from aquila.transport.cut_short import CutShortError
from aquila.transport.guest import GuestTransport


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One interaction that is going to be played, and what is to go wrong with it."""

    interaction: Interaction
    fault: Fault | None = None


class Player:
    """Plays the interactions of one file, each once, equal requests in the order they were recorded.

    Args:
        path: The cassette; nothing is read before the first request.
        rules: What is compared.
        pace: How fast to play.
        faults: What is to go wrong.

    Raises:
        ConfigError: A fault is none.
    """

    def __init__(
        self,
        path: Path,
        *,
        rules: Rules | None = None,
        pace: Pace | None = None,
        faults: Iterable[Fault] = (),
    ) -> None:
        self._path = path
        self._rules = rules or Rules()
        #: How fast it plays.
        self.pace = pace or Pace()
        self._faults = FaultPlan(faults)
        self._lock = threading.Lock()
        self._index: Index | None = None
        self._counted: set[int] = set()
        #: How many interactions were played; one that a fault gave back counts once.
        self.plays = 0
        #: What the played answers cost when they were recorded, in US dollars, as far as is known.
        self.saved_usd = Decimal()

    @property
    def index(self) -> Index | None:
        """What the file held at the first request; None before."""
        return self._index

    def find(self, request: Request) -> Claim | None:
        """Claim the interaction that answers a request; None if there is none or all equal ones are played.

        Raises:
            CassetteMissing: There is no such file.
            CassetteError: The file is broken.
        """
        with self._lock:
            index = self._opened()
            number = index.claim(request_key(request, self._rules), request)
            if number is None:
                return None
            interaction = index.interactions[number]
            fault = self._faults.take(number + 1, interaction)
            if fault is not None and not fault.consumes:
                index.give_back(number)
            if number not in self._counted:
                self._counted.add(number)
                self.plays += 1
                self.saved_usd += interaction.cost_usd or 0
        JOURNAL.note("played", self._path, number)
        return Claim(interaction=interaction if fault is None else fault.apply(interaction), fault=fault)

    def claim(self, request: Request) -> Claim:
        """Claim the interaction that answers a request.

        Raises:
            CassetteMissing: There is no such file.
            CassetteMismatch: No interaction is left that equals the request; says what differs.
            CassetteError: The file is broken.
        """
        found = self.find(request)
        if found is None:
            raise self._mismatch(request)
        return found

    async def play(self, claim: Claim) -> TransportResponse:
        """Answer with an interaction, on its schedule.

        Raises:
            AquilaError: The network failure that was recorded in an answer's place.
        """
        interaction, schedule = claim.interaction, Schedule(self.pace)
        if is_unanswered(interaction):
            await schedule.until(interaction.total_ms)
            _fail(interaction)
        await schedule.until(interaction.head_ms)
        if claim.fault is not None and claim.fault.wait:
            await self.pace.sleep(claim.fault.wait)
            schedule.put_off(claim.fault.wait)
        return ReplayedResponse(interaction, Playback(interaction, schedule, self._cut_short))

    def play_sync(self, claim: Claim) -> ReplayedResponse:
        """Answer with an interaction, on its schedule, in a thread.

        Raises:
            AquilaError: The network failure that was recorded in an answer's place.
        """
        interaction, schedule = claim.interaction, Schedule(self.pace)
        if is_unanswered(interaction):
            schedule.block_until(interaction.total_ms)
            _fail(interaction)
        schedule.block_until(interaction.head_ms)
        if claim.fault is not None and claim.fault.wait:
            self.pace.block(claim.fault.wait)
            schedule.put_off(claim.fault.wait)
        return ReplayedResponse(interaction, Playback(interaction, schedule, self._cut_short))

    def unused_faults(self) -> tuple[Fault, ...]:
        """Give the faults that have not struck as often as they should."""
        with self._lock:
            return self._faults.waiting()

    def _opened(self) -> Index:
        if self._index is None:
            interactions = read(standing(self._path))
            if interactions is None:
                raise CassetteMissing(f"cassette {self._path} does not exist; record it: {command('once')}")
            self._index = Index(interactions, self._rules)
        return self._index

    def _mismatch(self, request: Request) -> CassetteMismatch:
        secrets = environment_secrets(os.environ)
        with self._lock:
            drift = explain(request, self._opened(), secrets)
        asked = goal_text(request, self._rules, secrets)
        remedy = f"to record anew: {command('rewrite')}; to keep what is recorded as well: {command('new_episodes')}"
        mismatch = CassetteMismatch(
            f"cassette {self._path}: {_told(drift, asked)}; {remedy}",
            reason=drift.reason,
            number=drift.number,
            diff="\n".join(drift.lines),
        )
        if drift.reason != "already_played" and drift.lines:
            mismatch.add_note("\n".join(drift.lines))
        return mismatch

    def _cut_short(self, chunks: int) -> CutShortError:
        return CutShortError(
            f"cassette {self._path}: the recording of this answer was ended by its reader after {chunks} "
            f"chunk{'' if chunks == 1 else 's'}, and now more is asked for; record it again: {command('rewrite')}"
        )


class ReplayTransport(GuestTransport):
    """Answers from a cassette and never from the network.

    It is a transport of Aquila's client, and one of httpx and httpx2 clients, asynchronous or not:
    `openai.AsyncOpenAI(http_client=httpx2.AsyncClient(transport=ReplayTransport("cassettes/chat.yaml")))`.

    Args:
        path: The cassette file; read at the first request.
        speed: 0 plays without waiting, 1 in the recorded time, n at n times its speed.
        rules: What is compared; None for everything.
        faults: What is to go wrong: `Disconnect(after_chunks=3)`.
        clock: Seconds, for the schedule.
        sleep: Waits for seconds.

    Raises:
        ConfigError: The speed is negative, or a fault is none.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        speed: float = 0.0,
        rules: Rules | None = None,
        faults: Iterable[Fault] = (),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        pace = Pace(speed=check_speed(speed), clock=clock, sleep=sleep)
        self._player = Player(Path(path), rules=rules, pace=pace, faults=faults)
        self._opened = OpenedByHand(Path(path), player=self._player)

    async def send(self, request: Request) -> TransportResponse:
        """Answer a request with the recorded interaction that equals it.

        Raises:
            CassetteMissing: There is no such file.
            CassetteMismatch: No interaction is left that equals the request; says what differs.
            CassetteError: The file is broken.
            AquilaError: The network failure that was recorded.
        """
        self._opened.note()
        return await self._player.play(self._player.claim(request))

    def send_sync(self, request: Request) -> ReplayedResponse:
        """Do as `send` does, in a thread.

        Raises:
            CassetteError: The file is missing or broken, or holds no answer.
            AquilaError: The network failure that was recorded.
        """
        self._opened.note()
        return self._player.play_sync(self._player.claim(request))

    async def sleep(self, seconds: float) -> None:
        """Wait between two requests as the replay's time goes: at speed 0 not at all."""
        await self._player.pace.pause(seconds)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to free, and what is played stays played."""


def _fail(interaction: Interaction) -> None:
    if interaction.failure is not None:
        fail(interaction.failure)


def _told(drift: Drift, asked: str) -> str:
    ignored = f" (ignored by config: {', '.join(drift.ignored)})" if drift.ignored else ""
    more = f" (and {len(drift.lines) - 1} more)" if len(drift.lines) > 1 else ""
    first = drift.lines[0] if drift.lines else "nothing that can be told"
    if drift.reason == "already_played":
        return f"{asked} equals interaction {drift.number}, which is already played: {first}"
    if drift.number is None:
        return f"it holds no interactions, so none answers {asked}"
    what = "equals" if drift.reason == "no_match" else "is like"
    return f"no recorded interaction {what} {asked}; the nearest is {drift.number}, which differs in {first}{more}{ignored}"
