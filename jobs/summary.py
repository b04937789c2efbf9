"""A document of any length in a few sentences: what is too long for one prompt is summarised in parts.

Each part is a step of the job, so no part is paid for twice. Only the last summary, that of all of it, is heard in the job's
live stream.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from anyio import to_thread

from aquila.errors import ConfigError
from aquila.response import Response
from aquila.sink.ambient import quiet
from jobs.bounded import for_each
from jobs.chunking import group_texts, split_text
from jobs.context import current
from jobs.reporting import Report


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of a document."""

    response: Response
    #: The parts it was read in.
    chunks: int


class Summariser:
    """Summarises one document in the running job."""

    def __init__(
        self, ask: Callable[[str], Awaitable[Response]], chunk_tokens: int, *, at_once: int = 4
    ) -> None:
        """Prepare it.

        Args:
            ask: Sends a prompt and gives the answer.
            chunk_tokens: How many tokens of text a prompt has at most.
            at_once: How many parts are summarised at the same time.
        """
        self._ask = ask
        self._most = chunk_tokens
        self._at_once = at_once
        self._report = Report()

    async def summarise(self, text: str) -> Summary:
        """Give the summary of a text.

        Raises:
            AquilaError: A run failed; the parts that are summarised by then are kept.
            ConfigError: It is no text.
        """
        if not isinstance(text, str):
            raise ConfigError(f"text: a summary is made of a text, not of {type(text).__name__}")
        # A long text without any space takes a second.
        chunks = await to_thread.run_sync(split_text, text, self._most)
        if len(chunks) == 1:
            return Summary(await self._ask(f"Summarise the following:\n\n{text}"), 1)
        with quiet():
            parts = await self._in_parts(chunks)
        prompt = f"Summarise the following, which are summaries of the parts of one text:\n\n{_joined(parts)}"
        return Summary(await self._ask(prompt), len(chunks))

    async def _in_parts(self, chunks: Sequence[str]) -> list[str]:
        """Give summaries of the chunks that fit into one prompt."""
        counts = {"chunks_done": 0, "chunks": len(chunks)}

        async def read(place: int) -> str:
            prompt = (
                f"Summarise the following, which is part {place + 1} of {len(chunks)} of a text:\n\n"
                f"{chunks[place].strip()}"
            )
            summary = await self._once("chunk", place, prompt)
            counts["chunks_done"] += 1
            await self._report.tell(**counts)
            return summary

        await self._report.tell_now(**counts)
        parts = await for_each(read, range(len(chunks)), at_once=self._at_once)
        await self._report.tell_now(**counts)
        level = 0
        while len(groups := group_texts(parts, self._most)) > 1:
            level += 1
            parts = await for_each(
                partial(self._join, f"join {level}", groups), range(len(groups)), at_once=self._at_once
            )
        return parts

    async def _join(self, kind: str, groups: Sequence[Sequence[str]], place: int) -> str:
        group = groups[place]
        if len(group) == 1:
            return group[0]
        prompt = (
            "Summarise the following, which are summaries of neighbouring parts of one text:\n\n"
            f"{_joined(group)}"
        )
        return await self._once(kind, place, prompt)

    async def _once(self, kind: str, place: int, prompt: str) -> str:
        """Give the answer to a prompt, which is asked once for the job."""

        async def answer() -> str:
            return (await self._ask(prompt)).text

        # A release that cuts or asks otherwise must not take the answers of one before it.
        digest = sha256(prompt.encode(errors="surrogatepass")).hexdigest()[:12]
        return str(await current().step(f"{kind}:{place}:{digest}", answer))


def _joined(texts: Sequence[str]) -> str:
    return "\n\n".join(text.strip() for text in texts)
