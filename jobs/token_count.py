"""How many tokens a request takes: a guess before, a count while its answer comes, the provider's word in the end. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from aquila.events import Chunk, Event, ReasoningChunk, ToolCallChunk, UsageUpdate
from aquila.response import Usage
from aquila.transport import Request

#: Bytes of a prompt, and characters of an answer, that make a token.
BYTES_PER_TOKEN = 4
#: Tokens of an answer whose length the request does not bound.
DEFAULT_OUTPUT = 1000
#: Tokens of a picture or a recording inside a prompt.
BINARY_TOKENS = 1000
#: A picture or a recording: long, and without what every text has.
_LONG = 1024
_BINARY = re.compile(r"(?:data:[^,]*,)?[A-Za-z0-9+/=_-]{1000,}")
_OUTPUT = ("max_output_tokens", "max_completion_tokens", "max_tokens")
#: What a model reads, in the bodies of all endpoints.
_PROMPT = ("messages", "input", "instructions", "prompt", "tools", "response_format", "text")
_WITHOUT_OUTPUT = ("/embeddings", "/moderations")
_TEXTS = (Chunk, ReasoningChunk, ToolCallChunk)


@dataclass(frozen=True, slots=True)
class Guess:
    """What a request is likely to take."""

    #: Tokens of the prompt.
    prompt: int
    #: Tokens of the answer, at most or by default.
    answer: int
    #: The service tier it asks for; None for the standard one.
    service_tier: str | None = None

    @property
    def total(self) -> int:
        """Both together."""
        return self.prompt + self.answer


def guess(request: Request) -> Guess:
    """Guess what a request takes; one whose body is no JSON, such as a recording to be written down, counts as binary."""
    answer = 0 if request.url.partition("?")[0].endswith(_WITHOUT_OUTPUT) else DEFAULT_OUTPUT
    try:
        body = msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Guess(BINARY_TOKENS, answer)
    if not isinstance(body, Mapping):
        return Guess(BINARY_TOKENS, answer)
    bound = next((body[name] for name in _OUTPUT if isinstance(body.get(name), int)), answer)
    tier = body.get("service_tier")
    prompt = sum(_tokens(body[name]) for name in _PROMPT if name in body)
    return Guess(prompt, max(bound, 0), tier if isinstance(tier, str) else None)


def is_counted(request: Request) -> bool:
    """Say whether a request makes a model work; asking for what is stored does not."""
    return request.method == "POST" and bool(request.body) and request.model is not None


class TokenCount:
    """The tokens of one request while its answer comes.

    Every fragment counts a token for four characters, and one at least, until the provider says how many there are.
    """

    __slots__ = ("_prompt", "guessed", "reported")

    def __init__(self, prompt: int) -> None:
        self._prompt = prompt
        #: Tokens of fragments behind what is reported.
        self.guessed = 0
        #: What the provider has said so far.
        self.reported: Usage | None = None

    def add_all(self, events: Iterable[Event]) -> bool:
        """Take events; True if there was a fragment among them."""
        fragments = False
        for event in events:
            # What nearly every event is comes first, and takes no call but one.
            if type(event) is Chunk or isinstance(event, _TEXTS):
                self.guessed += len(event.text) // BYTES_PER_TOKEN or 1
                fragments = True
            elif isinstance(event, UsageUpdate):
                self.reported, self.guessed = event.usage, 0
        return fragments

    @property
    def input(self) -> int:
        """Tokens of the prompt."""
        said = self.reported.input_tokens if self.reported is not None else None
        return self._prompt if said is None else said

    @property
    def output(self) -> int:
        """Tokens of the answer so far."""
        if self.reported is None:
            return self.guessed
        said = self.reported.output_tokens
        if said is None and self.reported.total_tokens is not None:
            said = max(self.reported.total_tokens - self.input, 0)
        return (said or 0) + self.guessed

    @property
    def total(self) -> int:
        """Both together."""
        return self.input + self.output


def _tokens(value: Any) -> int:
    """Count the texts inside a JSON value; a picture or a recording counts as one, whatever its size."""
    binaries, size, left = 0, 0, [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            if len(item) >= _LONG and _BINARY.fullmatch(item):
                binaries += 1
            else:
                size += len(item.encode(errors="replace"))
        elif isinstance(item, Mapping):
            left += item.values()
        elif isinstance(item, list):
            left += item
    return binaries * BINARY_TOKENS + -(-size // BYTES_PER_TOKEN)
