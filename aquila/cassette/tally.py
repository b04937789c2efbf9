"""What a test run played and recorded, counted over its cassettes and over the processes that share it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from aquila.cassette.journal import Entry
from aquila.cassette.matching.match import Index
from aquila.cassette.opened import OpenedByHand
from aquila.cassette.watch import Opened


@dataclass(slots=True)
class Used:
    """One cassette of a run."""

    #: How many interactions the file held when it was first opened.
    interactions: int = 0
    #: Positions, from 0, that something asked for.
    played: set[int] = field(default_factory=set)
    #: Positions of equal requests, and how many of them all players have played.
    groups: dict[tuple[int, ...], int] = field(default_factory=dict)
    #: How often an interaction was played; the tests may each begin at the beginning.
    plays: int = 0
    recordings: int = 0
    saved_usd: Decimal = Decimal()
    #: When the oldest interaction was recorded; None if none says.
    oldest: datetime | None = None
    #: Whether nobody minds what is left unplayed: a test says so, a job plays it, or it was opened by hand alone.
    is_excused: bool = False

    @property
    def left(self) -> int:
        """How many interactions nothing asked for."""
        # Players begin at the beginning: what two of them have played is recorded twice.
        return sum(
            max(
                0,
                sum(place not in self.played for place in places)
                - (claims - len(self.played.intersection(places))),
            )
            for places, claims in self.groups.items()
        )

    def merge(self, more: Used) -> None:
        """Add what another player or process counted."""
        self.interactions = max(self.interactions, more.interactions)
        self.played |= more.played
        for places, claims in more.groups.items():
            self.groups[places] = self.groups.get(places, 0) + claims
        self.plays += more.plays
        self.recordings += more.recordings
        self.saved_usd += more.saved_usd
        self.oldest = _older(self.oldest, more.oldest)
        self.is_excused |= more.is_excused

    def play(self, position: int) -> None:
        """Note that a process without a count of its own has played an interaction."""
        self.played.add(position)
        self.plays += 1
        for places in self.groups:
            self.groups[places] += position in places


@dataclass(slots=True)
class Tally:
    """All cassettes of a run, by path."""

    used: dict[str, Used] = field(default_factory=dict)
    #: How many recordings were put aside, because their tests did not pass.
    not_kept: int = 0

    @classmethod
    def of(cls, opened: Iterable[Opened]) -> Self:
        """Count what was opened."""
        tally = cls()
        for deck in opened:
            tally.at(deck.path).merge(_count_one(deck))
        return tally

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Read what another process counted."""
        return cls({path: _used_of(row) for path, row in plain["used"].items()}, plain["not_kept"])

    def to_plain(self) -> dict[str, Any]:
        """Write it as texts, numbers, lists and dicts."""
        return {"used": {path: _plain(used) for path, used in self.used.items()}, "not_kept": self.not_kept}

    def at(self, path: Path) -> Used:
        """Give the count of a file."""
        return self.used.setdefault(str(path.resolve()), Used())

    def merge(self, other: Tally) -> None:
        """Add what another process counted."""
        self.not_kept += other.not_kept
        for path, more in other.used.items():
            self.used.setdefault(path, Used()).merge(more)

    def add_entries(self, entries: Iterable[Entry]) -> None:
        """Add what processes without a count of their own have noted."""
        for entry in entries:
            used = self.used.setdefault(entry.path, Used())
            if entry.kind == "played" and entry.position is not None:
                used.play(entry.position)
            used.recordings += entry.kind == "recorded"

    def unplayed(self) -> dict[str, int]:
        """Count what nothing asked for, by path, in cassettes that were not recorded."""
        judged = {
            path: used for path, used in self.used.items() if not used.recordings and not used.is_excused
        }
        return {path: used.left for path, used in judged.items() if used.left}

    def line(self, now: datetime) -> str:
        """Say it in one line: `12 cassettes, 31 interactions played, $0.042 saved, oldest 143 d`."""
        rows = self.used.values()
        plays, recordings = sum(used.plays for used in rows), sum(used.recordings for used in rows)
        saved = sum((used.saved_usd for used in rows), Decimal())
        oldest = min((used.oldest for used in rows if used.oldest is not None), default=None)
        parts = [
            _count(len(self.used), "cassette"),
            f"{_count(plays, 'interaction')} played",
            f"{recordings - self.not_kept} recorded" if recordings > self.not_kept else "",
            f"{self.not_kept} recorded and not kept" if self.not_kept else "",
            f"${_dollars(saved)} saved" if saved else "",
            f"oldest {(now - oldest).days} d" if oldest is not None else "",
        ]
        return ", ".join(part for part in parts if part)


def _count_one(deck: Opened) -> Used:
    player = deck.player
    index = player.index if player is not None else None
    one = Used(recordings=deck.recordings, is_excused=isinstance(deck, OpenedByHand))
    if player is not None and index is not None:
        one.interactions = len(index.interactions)
        one.played = set(range(one.interactions)).difference(index.unplayed())
        one.groups = {tuple(places): len(one.played.intersection(places)) for places in index.places.values()}
        one.plays, one.saved_usd = player.plays, player.saved_usd
        for interaction in index.interactions:
            one.oldest = _older(one.oldest, interaction.recorded_at)
    return one


def _plain(used: Used) -> dict[str, Any]:
    return {
        **{name: getattr(used, name) for name in ("interactions", "plays", "recordings", "is_excused")},
        "played": sorted(used.played),
        "groups": [[list(places), claims] for places, claims in used.groups.items()],
        "saved_usd": str(used.saved_usd),
        "oldest": used.oldest.isoformat() if used.oldest else None,
    }


def _used_of(row: Mapping[str, Any]) -> Used:
    return Used(
        **{name: row[name] for name in ("interactions", "plays", "recordings", "is_excused")},
        played=set(row["played"]),
        groups={tuple(places): claims for places, claims in row["groups"]},
        saved_usd=Decimal(row["saved_usd"]),
        oldest=datetime.fromisoformat(row["oldest"]) if row["oldest"] else None,
    )


def unplayed(
    opened: Iterable[Opened], elsewhere: Mapping[str, AbstractSet[int]] | None = None
) -> dict[Path, list[int]]:
    """Give the interactions, from 1, that no player of a cassette asked for. Cassettes that are being recorded are left out.

    Args:
        opened: The cassettes.
        elsewhere: Positions, from 0, that other processes have played, by resolved path.
    """
    indexes: dict[Path, list[Index]] = {}
    for deck in opened:
        index = deck.player.index if deck.player is not None else None
        if index is not None and not deck.records:
            indexes.setdefault(deck.path, []).append(index)
    others = elsewhere or {}
    left = {path: _unplayed(shared, others.get(str(path.resolve()), ())) for path, shared in indexes.items()}
    return {path: numbers for path, numbers in left.items() if numbers}


def _unplayed(indexes: list[Index], elsewhere: Iterable[int]) -> list[int]:
    played = [set(range(len(index.interactions))).difference(index.unplayed()) for index in indexes]
    played.append(set(elsewhere))
    left: list[int] = []
    for places in indexes[0].places.values():
        claimed = [place for one in played for place in places if place in one]
        missing = [place + 1 for place in places if place not in claimed]
        # Each player begins at the beginning: equal requests of two of them have played one interaction twice, where a
        # recording has two.
        left += missing[len(claimed) - len(set(claimed)) :]
    return sorted(left)


def _older(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _dollars(amount: Decimal) -> str:
    return (
        f"{amount:.2f}"
        if amount >= 1
        else f"{amount.normalize():.2g}"
        if amount < Decimal("0.01")
        else f"{amount:.3f}"
    )
