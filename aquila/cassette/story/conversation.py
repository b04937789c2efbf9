"""A cassette as the conversation it holds: what is new in each request, and what the model said to it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile

from aquila.cassette.interaction import Interaction
from aquila.cassette.story.answer_events import Told, problem_with, read_answer
from aquila.cassette.story.sent_items import Said, Sent, read_sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One interaction, as a step of a conversation."""

    #: The interaction's number, from 1.
    number: int
    interaction: Interaction
    #: What the request says and the one before has not said, or answered.
    new: tuple[Said, ...]
    #: The turn this one goes on from, or repeats; None if it begins a conversation.
    after: int | None
    #: How many items of the conversation are repeated from there.
    repeated: int
    #: What the model said; None where the traffic is no model's.
    told: Told | None

    @property
    def problem(self) -> str | None:
        """How the exchange failed, in an error's words; None if it did not."""
        return problem_with(self.interaction) if self.told is None else self.told.problem


def conversation(interactions: Iterable[Interaction]) -> tuple[Turn, ...]:
    """Read a cassette by turns. Conversations that were held at the same time are told apart by what they repeat."""
    past = _Past()
    return tuple(past.add(interaction) for interaction in interactions)


class _Past:
    """The turns so far, found by the beginning they share with a request or by the id of their response."""

    def __init__(self) -> None:
        self._turns: list[Turn] = []
        self._sent: list[Sent] = []
        #: The digest of each beginning of a conversation, and the last turn that has it.
        self._beginnings: dict[int, int] = {}
        self._by_id: dict[str, int] = {}

    def add(self, interaction: Interaction) -> Turn:
        sent, told = read_sent(interaction.request), read_answer(interaction)
        beginnings = list(_beginnings(sent.items))
        after, repeated = self._before(sent, beginnings)
        number = len(self._turns) + 1
        turn = Turn(
            number=number,
            interaction=interaction,
            new=self._new(sent, after, repeated),
            after=after,
            repeated=repeated,
            told=told,
        )
        self._turns.append(turn)
        self._sent.append(sent)
        if told is not None:
            self._beginnings.update(dict.fromkeys(beginnings, number))
            if told.response.response_id is not None:
                self._by_id[told.response.response_id] = number
        return turn

    def _before(self, sent: Sent, beginnings: Sequence[int]) -> tuple[int | None, int]:
        if sent.previous is not None:
            return self._by_id.get(sent.previous), 0
        for length in range(len(beginnings), 0, -1):
            number = self._beginnings.get(beginnings[length - 1])
            if number is not None:
                return number, length
        return None, 0

    def _new(self, sent: Sent, after: int | None, repeated: int) -> tuple[Said, ...]:
        if after is None:
            return (*sent.frame, *sent.items)
        known, told = self._sent[after - 1].frame, self._turns[after - 1].told
        frame = tuple(said for said in sent.frame if said not in known)
        rest = sent.items[repeated:]
        return (*frame, *dropwhile(lambda said: _is_echo(said, told), rest))


def _is_echo(said: Said, told: Told | None) -> bool:
    """Tell whether a request only repeats what the model has answered."""
    if told is None:
        return False
    if said.role == "call":
        return said.call_id in {call.call_id for call in told.calls}
    # Its parts may come back joined otherwise than they went.
    answers = {_without_blanks(told.response.text), _without_blanks(told.response.refusal or "")}
    return said.role == "reasoning" or (said.role == "assistant" and _without_blanks(said.text) in answers)


def _without_blanks(text: str) -> str:
    return "".join(text.split())


def _beginnings(items: Iterable[Said]) -> Iterator[int]:
    digest = 0
    for said in items:
        digest = hash((digest, said))
        yield digest
