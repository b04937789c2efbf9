"""Recording that waits for a verdict: a failed test must not replace a good cassette.

While recordings are held, each is written beside its cassette as `NAME.yaml.partial`. Kept, they become the cassettes;
dropped, the partial files stay for a person to look at and the cassettes are what they were.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import NamedTuple, Protocol

_SUFFIX = ".partial"


class Held(Protocol):
    """A store whose recordings wait."""

    @property
    def path(self) -> Path:
        """The cassette."""

    def keep(self) -> None:
        """Write them."""

    def drop(self) -> int:
        """Forget them; give how many there were."""


class Verdict:
    """What is known of one test, for recordings that wait to hear of it, however late they end."""

    __slots__ = ("hold", "passed")

    def __init__(self, hold: Hold) -> None:
        #: Tells the stores.
        self.hold = hold
        #: None while the test runs.
        self.passed: bool | None = None


class Dropped(NamedTuple):
    """What was forgotten."""

    #: The partial files that stay.
    paths: tuple[Path, ...]
    #: How many there were.
    recordings: int


class Hold:
    """The recordings of this process that wait. Used by the thread that runs the tests; others add to it."""

    def __init__(self) -> None:
        self._stores: list[Held] = []
        self._lock = threading.Lock()
        #: What recordings that begin now wait for.
        self.verdict = Verdict(self)

    def add(self, store: Held, verdict: Verdict) -> bool:
        """Note that a store has something that waits; False if there is nothing to wait for, as the verdict has fallen.

        Args:
            store: Is told of the verdict.
            verdict: What it waits for.
        """
        with self._lock:
            if verdict.passed is not None:
                return False
            if store not in self._stores:
                self._stores.append(store)
            return True

    def has(self, path: Path) -> bool:
        """Tell whether something waits for a cassette."""
        with self._lock:
            return any(store.path == path for store in self._stores)

    def keep(self) -> None:
        """Write all that waits to the cassettes.

        Raises:
            CassetteError: A file cannot be written; the others are.
        """
        trouble: Exception | None = None
        for store in self._settle(passed=True):
            try:
                store.keep()
            except Exception as error:  # noqa: BLE001 - raised below, when the others are written
                trouble = trouble or error
        if trouble is not None:
            raise trouble

    def drop(self) -> Dropped:
        """Forget all that waits."""
        stores = self._settle(passed=False)
        count = sum(store.drop() for store in stores)
        return Dropped(tuple(partial(store.path) for store in stores if partial(store.path).exists()), count)

    def _settle(self, *, passed: bool) -> list[Held]:
        with self._lock:
            self.verdict.passed, self.verdict = passed, Verdict(self)
            stores, self._stores = self._stores, []
            return stores


_holds: list[Hold] = []
if hasattr(os, "register_at_fork"):  # Windows has no fork.
    # A forked child never hears of its parent's verdict: it records at once, as every other process does.
    os.register_at_fork(after_in_child=_holds.clear)


def hold(held: Hold) -> None:
    """Let recordings wait from now on, until `release`."""
    _holds.append(held)


def release(held: Hold) -> None:
    """Let recordings be written at once again; what waits is still to be kept or dropped."""
    _holds.remove(held)


def holding() -> Hold | None:
    """Give what recordings wait for now; None when they are written at once."""
    return _holds[-1] if _holds else None


def standing(path: Path) -> Path:
    """Give the file that a replay inside the test reads: the one in which the test's own recordings wait, if any do."""
    held = holding()
    return partial(path) if held is not None and held.has(path.resolve()) and partial(path).exists() else path


def partial(path: Path) -> Path:
    """Give the file in which the recordings of a cassette wait."""
    return path.with_name(path.name + _SUFFIX)
