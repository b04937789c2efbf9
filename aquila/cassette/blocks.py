"""Cassettes for everything inside a `with` block: child tasks, threads, and the jobs it sends."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from aquila.cassette.matching.rules import Matcher, Rules
from aquila.cassette.mode import resolve_mode
from aquila.cassette.scope import Scope
from aquila.errors import CassetteError
from aquila.settings import Settings

if TYPE_CHECKING:
    from aquila.cassette.faults import Fault


class _Block:
    """A `use` block that has been entered and not left."""

    __slots__ = ("around", "scope")

    def __init__(self, scope: Scope, around: _Block | None) -> None:
        self.scope = scope
        self.around = around


_block: ContextVar[_Block | None] = ContextVar("aquila_cassette", default=None)
#: All blocks of the process, for threads that were started without a context.
_entered: list[tuple[_Block, int]] = []
_of_the_test: list[Scope] = []


@contextmanager
def use(
    name: str,
    *,
    mode: str | None = None,
    speed: float | None = None,
    ignore: Iterable[str] = (),
    ignore_text: Iterable[str] = (),
    match_on: Iterable[Matcher] = (),
    redact: Iterable[str] = (),
    secrets: Iterable[str] = (),
    allow: Iterable[str] = (),
    faults: Iterable[Fault] = (),
) -> Iterator[Scope]:
    """Play or record every call inside the block with one cassette: child tasks, threads and jobs that it sends included.

    All calls share its interactions, each of which is played once. Blocks nest: the inner one wins, and the outer one
    goes on after it. The cassette of a Client wins over both, and a call's own `cassette=` over all.

    Args:
        name: Path below the cassette folder, without suffix: `jobs/explain`.
        mode: None for `AQUILA_CASSETTES`, else `none` in tests and CI, else `off`.
        speed: 0 plays without waiting, 1 in the recorded time, n at n times its speed; None for
            `AQUILA_CASSETTE_SPEED`, else 0.
        ignore: JSON paths of the body that do not count when requests are compared: `$.metadata.run_id`.
        ignore_text: Regular expressions; what they match inside texts of the body does not count.
        match_on: Matchers as vcrpy has them, asked when no recorded request is equal.
        redact: Names of headers, query parameters and JSON fields whose values become `[redacted]`, besides those that
            are known to be secret.
        secrets: Values that must not be recorded, besides those of the environment and of the requests themselves.
        allow: Texts that are no secrets, although they look like a key.
        faults: What is to go wrong in a replay: `Disconnect(after_chunks=3)`.

    Yields:
        The cassette.

    Raises:
        ConfigError: The name leads out of the folder, there is no such mode, or a rule cannot be read.
        CassetteError: At the end of the block, if an answer that nobody finished reading cannot be written.
    """
    rules = Rules.of(
        ignore=ignore,
        ignore_text=ignore_text,
        match_on=match_on,
        redact=redact,
        secrets=secrets,
        allow=allow,
    )
    scope = Scope(name, mode, speed=speed, rules=rules, faults=faults)
    block = _Block(scope, _block.get())
    here = (block, threading.get_ident())
    token = _block.set(block)
    _entered.append(here)
    try:
        yield scope
    finally:
        _entered.remove(here)
        _block.reset(token)
        scope.close()


def in_effect(settings: Settings) -> Scope | None:
    """Give the cassette of a call that names none: that of the block around it, else that of the test.

    A thread that was started without a context belongs to the innermost block, when all blocks are nested.

    Raises:
        CassetteError: The thread belongs to none of several blocks that are entered side by side.
    """
    own = _block.get()
    if own is not None:
        return own.scope
    here = threading.get_ident()
    blocks = [block for block, thread in _entered if thread != here]
    blocks = [block for block in blocks if resolve_mode(block.scope.mode, settings) != "off"]
    if blocks:
        return _innermost(blocks).scope
    return _of_the_test[-1] if _of_the_test else None


def _innermost(blocks: list[_Block]) -> _Block:
    last = blocks[-1]
    chain, block = set[int](), last
    while block is not None:
        chain.add(id(block))
        block = block.around  # type: ignore[assignment] # ends at None
    strangers = sorted({block.scope.name for block in blocks if id(block) not in chain} | {last.scope.name})
    if len(strangers) > 1:
        raise CassetteError(
            f"this thread was started without a context, and cassettes are in use side by side: "
            f"{', '.join(strangers)}; pass cassette= to the call, or start the thread with "
            "contextvars.copy_context().run"
        )
    return last


@contextmanager
def for_the_test(scope: Scope) -> Iterator[None]:
    """Make a cassette that of the whole process, for whatever no `use` block has reached."""
    _of_the_test.append(scope)
    try:
        yield
    finally:
        _of_the_test.remove(scope)
        scope.close()
