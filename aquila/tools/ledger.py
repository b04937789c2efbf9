"""A ledger of tool calls: what has been run already, in an earlier process too, is not run again.

Nobody keeps one unless a host says so, as a job's runner does: a job that is run again would pay, send and book twice.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import Any, Protocol
from uuid import UUID

from pydantic import BaseModel

from aquila.occurrences import Occurrences
from aquila.tool_call import ToolCall
from aquila.tools.context import ToolOutput
from aquila.tools.declare import Tool
from aquila.tools.signature import read_parameters

logger = logging.getLogger("aquila")


class Ledger(Protocol):
    """Keeps what tools gave, by keys of at most 200 characters that hold no argument in clear."""

    async def recall(self, key: str) -> ToolOutput | None:
        """Give what was recorded under a key; None if nothing was."""

    async def record(self, key: str, output: ToolOutput) -> None:
        """Keep the output of a call that went well. Whatever this raises ends the run."""


@dataclass(frozen=True, slots=True)
class _Book:
    ledger: Ledger
    #: Which of its likes a call is, among all runs of the block.
    numbers: Occurrences


_BOOK: ContextVar[_Book | None] = ContextVar("aquila_tool_ledger", default=None)


@contextmanager
def recording(ledger: Ledger) -> Iterator[None]:
    """Let every run started inside the block, child tasks included, ask the ledger before it runs a tool, and tell it after.

    A call is known by its tool's name, its arguments, and by how often the same has been called inside the block before.
    Where a tool takes a `Context`, the `tool_context` the run began with counts as well: what was found out for one customer
    is no answer about another. Of the context, only JSON values, dataclasses and pydantic models are looked into.
    """
    token = _BOOK.set(_Book(ledger, Occurrences()))
    try:
        yield
    finally:
        _BOOK.reset(token)


async def run_once(
    tool: Tool[..., Any], call: ToolCall, context: Any, run: Callable[[], Awaitable[ToolOutput]]
) -> ToolOutput:
    """Give what the ledger in effect has of a call, else run it; what failed is not recorded.

    Args:
        tool: The tool; one that is `repeatable` is always run.
        call: What the model wrote.
        context: The `tool_context` that the run began with.
        run: Runs the tool.
    """
    book = _BOOK.get()
    if book is None or tool.repeatable:
        return await run()
    key = call_key(call, context if read_parameters(tool.function).contexts else None)
    number = book.numbers.take(key)
    known = await book.ledger.recall(f"{key}#{number}")
    if known is not None:
        logger.info("tool_recalled tool=%s call_id=%s", call.name, call.call_id)
        return known
    # It may fail. Numbers are those of records, so that none of them is missed the next time.
    book.numbers.give_back(key, number)
    output = await run()
    if output.status == "ok":
        await book.ledger.record(f"{key}#{book.numbers.take(key)}", output)
    return output


def call_key(call: ToolCall, context: Any = None) -> str:
    """Give the tool's name and a hash of all that tells its calls apart.

    Args:
        call: What the model wrote.
        context: What the tool knows besides; None for nothing.
    """
    facts = [call.name, _text(call.arguments, call.text), _text(context, type(context).__qualname__)]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return f"{call.name[:64]}:{digest}"


def _text(value: Any, otherwise: str) -> str:
    try:
        # The order of keys means nothing in JSON, and models vary it.
        return json.dumps(value, sort_keys=True, default=_described)
    except (TypeError, ValueError, RecursionError):
        return otherwise


def _described(value: Any) -> Any:
    match value:
        case BaseModel():
            return dict(value)
        case Mapping():
            return dict(value)
        case Enum():
            return value.value
        case date() | time() | Decimal() | UUID():
            return str(value)
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {field.name: getattr(value, field.name) for field in fields(value)}
    # A connection or a lock is another one in each process, and says nothing of what is asked for.
    return type(value).__qualname__
