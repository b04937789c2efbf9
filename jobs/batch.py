"""Many prompts as one job: each answer is a step, so no prompt is paid for twice, whatever happens to the worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import anyio

from aquila.errors import (
    AquilaError,
    BadRequestError,
    ConfigError,
    ConnectionFailed,
    ConnectTimeout,
    InternalServerError,
    RateLimitError,
)
from aquila.events import Status
from aquila.prompt import Prompt, normalise
from aquila.response import Response
from aquila.sink.ambient import quiet, tell
from jobs.bounded import for_each
from jobs.context import current
from jobs.errors import JobsError
from jobs.policy import FINAL_ERRORS, words
from jobs.reporting import Report

#: Seconds before prompts are asked that failed and may yet succeed; the first round is that of all prompts.
PAUSES = (0.0, 2.0, 8.0)
#: Errors that every prompt would meet. Those of waiting are the row's, where it costs nothing.
_ALL_ALIKE = (*(kind for kind in FINAL_ERRORS if kind is not BadRequestError), JobsError, RateLimitError)
#: Errors of a provider that is away. So many in a row, and at least twice as many as are asked at once, say that it is.
_AWAY = (ConnectionFailed, ConnectTimeout, InternalServerError)
_AWAY_IN_A_ROW = 10


class Batch:
    """Asks the prompts of one job.

    What fails because of the prompt itself is an error in its place of the result, and so is what has failed in every
    round. What would fail for every prompt ends the attempt; the answers by then are kept for the next one.
    """

    def __init__(
        self,
        ask: Callable[[Prompt], Awaitable[Response]],
        prompts: Sequence[Prompt],
        *,
        concurrency: int,
        stop_on_error: bool = False,
        plan: Callable[[Prompt], object] | None = None,
    ) -> None:
        """Prepare it.

        Args:
            ask: Sends a prompt and gives the answer.
            prompts: The prompts.
            concurrency: How many are asked at the same time.
            stop_on_error: Whether the first error ends the attempt, of whatever kind it is.
            plan: Makes a request of a prompt and does not send it; so the fault of a prompt is told from that of an option.

        Raises:
            ConfigError: A value cannot be used.
        """
        if isinstance(prompts, str | bytes) or not isinstance(prompts, Sequence):
            raise ConfigError(
                f"prompts: a {type(prompts).__name__} is no list of prompts; write ['...', '...']"
            )
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise ConfigError(f"concurrency={concurrency!r} must be a whole number from 1")
        self._ask = ask
        self._prompts = prompts
        self._concurrency = concurrency
        self._stop_on_error = stop_on_error
        self._plan = plan
        self._report = Report()
        #: Prompts that can be sent to nobody, and why.
        self._faults: dict[int, ConfigError] = {}
        self._answers: dict[int, dict[str, Any]] = {}
        #: Errors that may pass, by prompt.
        self._failed: dict[int, AquilaError] = {}
        #: Answers that never came, one after the other.
        self._away = 0

    @property
    def counts(self) -> dict[str, int]:
        """How many prompts are done, how many of these failed, and how many there are."""
        failed = sum(1 for answer in self._answers.values() if answer["error"] is not None)
        return {"done": len(self._answers), "failed": failed, "total": len(self._prompts)}

    async def run(self) -> list[dict[str, Any]]:
        """Give an answer or an error for every prompt, in their order.

        Raises:
            AquilaError: Every prompt would fail, none was answered, or one failed and that ends it.
        """
        self._find_faults()
        await self._report.tell_now(**self.counts)
        with quiet():
            for pause in PAUSES:
                left = [place for place in range(len(self._prompts)) if place not in self._answers]
                if not left:
                    break
                await anyio.sleep(pause)
                await for_each(self._try, left, at_once=self._concurrency)
        if self._failed and not self._answers.keys() - self._faults:
            # The job's own attempts come with longer pauses.
            first, *_ = self._failed.values()
            raise first
        self._answers |= {place: _failure(error) for place, error in self._failed.items()}
        await self._report.tell_now(**self.counts)
        return [self._answers[place] for place in range(len(self._prompts))]

    async def _try(self, place: int) -> None:
        try:
            answer = await current().step(f"prompt:{place}", self._answer, place)
        except AquilaError as error:
            if self._stop_on_error or isinstance(error, _ALL_ALIKE):
                raise
            self._away = self._away + 1 if isinstance(error, _AWAY) else 0
            if self._away >= max(_AWAY_IN_A_ROW, 2 * self._concurrency) and self._unasked:
                raise
            self._failed[place] = error
        else:
            if place not in self._faults:
                self._away = 0
            self._failed.pop(place, None)
            self._answers[place] = answer
        await self._report.tell(**self.counts)

    @property
    def _unasked(self) -> int:
        return len(self._prompts) - len(self._answers.keys() | self._failed.keys())

    async def _answer(self, place: int) -> dict[str, Any]:
        try:
            response = await self._response(place)
        except (BadRequestError, ConfigError) as error:
            if self._stop_on_error or (isinstance(error, ConfigError) and place not in self._faults):
                raise
            answer = _failure(error)
        else:
            usage = response.usage.to_dict() if response.usage is not None else None
            answer = _record(response.text, finish_reason=response.finish_reason, usage=usage)
        await tell(Status("prompt", {"number": place, "error": answer["error"]}))
        return answer

    async def _response(self, place: int) -> Response:
        if place in self._faults:
            raise self._faults[place]
        try:
            return await self._ask(self._prompts[place])
        except ConfigError as error:
            if self._is_own(self._prompts[place]):
                self._faults[place] = error
            raise

    def _find_faults(self) -> None:
        """Look at every prompt before anything is paid for.

        Raises:
            ConfigError: One cannot be sent, and the first error is to end the attempt.
        """
        for place, prompt in enumerate(self._prompts):
            try:
                normalise(prompt)
            except ConfigError as error:
                if self._stop_on_error:
                    raise ConfigError(f"prompts[{place}]: {error}") from error
                self._faults[place] = error

    def _is_own(self, prompt: Prompt) -> bool:
        """Say whether it is this prompt that cannot be sent, while another one could."""
        return self._fails(prompt) and not self._fails("Hi")

    def _fails(self, prompt: Prompt) -> bool:
        if self._plan is None:
            return False
        try:
            self._plan(prompt)
        except ConfigError:
            return True
        return False


def _failure(error: AquilaError) -> dict[str, Any]:
    return _record(None, error={"type": type(error).__name__, "message": words(error)})


def _record(
    text: str | None,
    *,
    finish_reason: str | None = None,
    usage: Mapping[str, int] | None = None,
    error: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    return {"text": text, "finish_reason": finish_reason, "usage": usage, "error": error}
