"""`aquila cassette show`: a cassette as the conversation it holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from aquila.cassette.secrets.redact import redact_url
from aquila.cassette.story.conversation import Turn, conversation
from aquila.cassette.story.excerpt import excerpt
from aquila.cassette.story.summary import end_of, summarise
from aquila.cassette.story.timing_bar import timing
from aquila.cli.cassette_files import shown_path
from aquila.cli.cassette_find import Found, NameArgument, NumberOption, check_number, read_cassette
from aquila.cli.cassette_turn import turn_lines
from aquila.cli.cassette_words import age, count, money, size
from aquila.cli.untrusted_text import Paper

HELP = """Show a cassette turn by turn: what is new in each request, the answer, its end, and a bar of its times.

In the bar `h` is the answer's head and `>` its first chunk; the denser the sign, the more chunks came.
Without -n long texts are cut.

Example: aquila cassette show jobs/explain -n 1"""

#: Characters shown of each text in the overview.
_OVERVIEW = 600


def show(
    name: NameArgument,
    number: NumberOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, texts uncut.")] = False,
) -> None:
    """Show the conversation in a cassette.

    Raises:
        CassetteError: There is no such cassette, or it is broken.
        ConfigError: It holds no such interaction.
    """
    found = read_cassette(name)
    check_number(number, found.interactions)
    turns = [turn for turn in conversation(found.interactions) if number in {None, turn.number}]
    paper = Paper()
    if as_json:
        paper.line(json.dumps(_document(found, turns), indent=2))
        return
    now = datetime.now(UTC)  # noqa: TID251 - the edge: ages are told once, to a person
    paper.line(_headline(found, now), "bold")
    for turn in turns:
        paper.line()
        for text, style in turn_lines(turn, now, _OVERVIEW if number is None else None):
            paper.line(text, style)


def _headline(found: Found, now: datetime) -> str:
    summary = summarise(found.interactions)
    facts = [
        count(summary.interactions, "interaction"),
        count(summary.turns, "turn"),
        count(summary.tokens, "token"),
        *([money(summary.cost_usd)] if summary.cost_usd is not None else []),
        size(found.size),
        *([f"{age(summary.oldest, now)} old"] if summary.oldest is not None else []),
    ]
    return f"{shown_path(found.path)}: {', '.join(facts)}"


def _document(found: Found, turns: Sequence[Turn]) -> dict[str, Any]:
    summary = summarise(found.interactions)
    return {
        "path": str(found.path),
        "bytes": found.size,
        "turns": summary.turns,
        "tokens": summary.tokens,
        "cost_usd": _text(summary.cost_usd),
        "interactions": [_turn(turn) for turn in turns],
    }


def _turn(turn: Turn) -> dict[str, Any]:
    item, told = turn.interaction, turn.told
    measured = timing(item)
    response = told.response if told is not None else None
    return {
        "number": turn.number,
        "method": item.request.method,
        "url": redact_url(item.request.url),
        "status": item.status,
        "reason": item.reason,
        "model": item.model,
        "seq": item.seq,
        "recorded_at": None if item.recorded_at is None else item.recorded_at.isoformat(),
        "end": end_of(item),
        "source": item.source,
        "edited": item.edited,
        "after": turn.after,
        "repeated": turn.repeated,
        "new": [said._asdict() for said in turn.new],
        "answer": None if response is None else {
            "reasoning": response.reasoning,
            "text": response.text,
            "refusal": response.refusal,
            "tool_calls": [call.to_dict() for call in told.calls] if told is not None else [],
            "finish_reason": response.finish_reason,
            "response_id": response.response_id,
            "usage": None if response.usage is None else response.usage.to_dict(),
        },
        "problem": turn.problem,
        "body": excerpt(item.body, item.headers) if told is None or not told.moments else None,
        "cost_usd": _text(item.cost_usd),
        "timing": None if measured is None else asdict(measured),
    }  # fmt: skip


def _text(value: object) -> str | None:
    return None if value is None else str(value)
