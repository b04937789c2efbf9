"""One turn of a recorded conversation, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from aquila.cassette.interaction import Interaction
from aquila.cassette.secrets.redact import redact_url
from aquila.cassette.story.answer_events import Told
from aquila.cassette.story.conversation import Turn
from aquila.cassette.story.excerpt import excerpt
from aquila.cassette.story.summary import end_of
from aquila.cassette.story.timing_bar import timing_bar
from aquila.cli.cassette_words import age, count, money
from aquila.sink.printable import one_line

_LABEL = 12
_LONGEST_FACT = 300
_OK = range(200, 300)


class Line(NamedTuple):
    """A line, or a text of several, and the style it is printed in; None for no style."""

    text: str
    style: str | None = None


def turn_lines(turn: Turn, now: datetime, longest: int | None) -> Iterator[Line]:
    """Tell one turn: its facts, what is new in the request, the answer, and when its parts came.

    Args:
        turn: The turn.
        now: For its age.
        longest: Characters shown of a text; None shows all of it.

    Yields:
        Lines, from the top.
    """
    yield from _facts(turn, now)
    yield from _request(turn, longest)
    yield from _answer(turn, longest)
    bar = timing_bar(turn.interaction)
    edited = "the body was edited by hand, so its times hold no more"
    yield Line(_labelled(" ", "time", bar or (edited if turn.interaction.edited else "not recorded")), "dim")


def request_line(interaction: Interaction) -> str:
    """Name a request: its method and URL."""
    request = interaction.request
    return f"{one_line(request.method, 20)} {one_line(redact_url(request.url), _LONGEST_FACT)}"


def _facts(turn: Turn, now: datetime) -> Iterator[Line]:
    interaction = turn.interaction
    status = f"{interaction.status} {one_line(interaction.reason, 60)}".rstrip()
    good = interaction.status in _OK and interaction.failure is None
    yield Line(f"{turn.number}  {request_line(interaction)}  {status}", "bold" if good else "bold red")
    facts = [
        f"model {one_line(interaction.model, 100)}" if interaction.model is not None else "",
        f"seq {interaction.seq}" if interaction.seq is not None else "",
        _recorded(interaction, now),
        f"end {one_line(end_of(interaction), 60)}",
        f"source {one_line(interaction.source, 60)}" if interaction.source is not None else "",
        "edited by hand" if interaction.edited else "",
    ]
    yield Line("   " + ", ".join(fact for fact in facts if fact), "dim")


def _recorded(interaction: Interaction, now: datetime) -> str:
    moment = interaction.recorded_at
    if moment is None:
        return ""
    return f"recorded {moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({age(moment, now)} ago)"


def _request(turn: Turn, longest: int | None) -> Iterator[Line]:
    if turn.after is not None and turn.repeated:
        as_in = f"{count(turn.repeated, 'item')} as in {turn.after}"
        yield Line(_labelled("=", "", f"{as_in}{'' if turn.new else ', and nothing new'}"), "dim")
    elif turn.after is not None:
        yield Line(_labelled("=", "", f"goes on from the answer of {turn.after}"), "dim")
    for said in turn.new:
        suffix = f"  ({said.call_id})" if said.call_id is not None else ""
        yield Line(_labelled(">", said.role, _cut(said.text, longest) + suffix))


def _answer(turn: Turn, longest: int | None) -> Iterator[Line]:
    told, interaction = turn.told, turn.interaction
    if told is not None:
        yield from _said(told, longest)
    if interaction.body and (told is None or not told.moments):
        limit = 10 * _LONGEST_FACT if longest is None else _LONGEST_FACT
        yield Line(_labelled("<", "body", excerpt(interaction.body, interaction.headers, limit)))
    if turn.problem is not None:
        yield Line(_labelled("!", "problem", " ".join(turn.problem.split())), "red")
    if told is not None and told.moments:
        yield Line(_labelled("<", "end", ", ".join(_outcome(told, interaction))), "dim")


def _said(told: Told, longest: int | None) -> Iterator[Line]:
    response = told.response
    if response.reasoning:
        yield Line(_labelled("<", "reasoning", _cut(response.reasoning, longest)), "dim")
    if response.text:
        yield Line(_labelled("<", "text", _cut(response.text, longest)), "green")
    if response.refusal:
        yield Line(_labelled("<", "refusal", _cut(response.refusal, longest)), "yellow")
    for call in told.calls:
        text = f"{call.name}({_cut(call.text, longest)})  ({call.call_id})"
        yield Line(
            _labelled("<", "call", text if call.arguments is not None else f"{text}  no whole arguments"),
            "cyan",
        )
    if response.annotations:
        yield Line(_labelled("<", "sources", count(len(response.annotations), "annotation")))


def _outcome(told: Told, interaction: Interaction) -> Iterator[str]:
    response = told.response
    yield one_line(response.finish_reason or response.status, 60)
    usage = response.usage.to_dict() if response.usage is not None else {}
    for name, words in (
        ("input_tokens", "in"), ("cached_tokens", "cached"), ("output_tokens", "out"), ("reasoning_tokens", "reasoning"),
    ):  # fmt: skip
        if usage.get(name):
            yield f"{usage[name]:,} tokens {words}"
    if interaction.cost_usd is not None:
        yield money(interaction.cost_usd)


def _cut(text: str, longest: int | None) -> str:
    if longest is None or len(text) <= longest:
        return text
    return f"{text[:longest]}... ({len(text):,} characters; -n shows all of it)"


def _labelled(sign: str, label: str, text: str) -> str:
    head = f"   {sign} {one_line(label, 40):<{_LABEL}} "
    return head + text.strip("\n").replace("\n", "\n" + " " * len(head))
