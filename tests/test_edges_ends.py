"""However a run fails, everybody hears of it once: its reader, its sinks and its store, and nothing stays open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

import aquila
from aquila import errors
from aquila.errors import AquilaError
from aquila.events import Event
from aquila.response import Response
from aquila.retry import Retry
from aquila.sink import persist
from aquila.timeouts import Timeouts
from tests import wire
from tests.fault_server import BOTH, QUICK, Api, Chat, Reply, all_closed, misbehave, refusal, reply


class City(BaseModel):
    """A city."""

    name: str


def go() -> str:
    """Go."""
    return "gone"


@aquila.tool(needs_approval=True)
def delete() -> str:
    """Delete everything."""
    return "deleted"


@dataclass(frozen=True, kw_only=True)
class End:
    """One way to fail."""

    name: str
    error: type[AquilaError]
    replies: Callable[[Api], list[Reply]]
    options: dict[str, Any] = field(default_factory=dict)


CALL = ("c1", "go", "{}")
ENDS = [
    End(name="the key is refused", error=errors.AuthenticationError, replies=lambda _: [refusal("401 No", {"message": "x"})]),
    End(name="the server fails for ever", error=errors.InternalServerError, replies=lambda _: [refusal("500 Oops")]),
    End(name="the quota is used up", error=errors.QuotaExceededError,
        replies=lambda _: [refusal("429 No", {"message": "x", "code": "insufficient_quota"})]),
    End(name="an error in the stream", error=errors.ProviderStreamError,
        replies=lambda api: [reply(*api.said("Hel"), api.error("boom"))]),
    End(name="a stream that is cut", error=errors.StreamTruncated, replies=lambda api: [reply(*api.said("Hel"))]),
    End(name="a connection that breaks", error=errors.ConnectionFailed,
        replies=lambda api: [reply(*api.said("Hel"), "RESET")]),
    End(name="a page", error=errors.ProtocolError, replies=lambda _: [reply(b"<html>", kind="text/html")]),
    End(name="silence", error=errors.SilenceTimeout, replies=lambda api: [reply(*api.said("Hel"), "LINGER")],
        options={"timeout": Timeouts(silence=0.1)}),
    End(name="the end of the time", error=errors.TotalTimeout, replies=lambda api: [reply(*api.said("Hel"), "FOREVER")],
        options={"timeout": 0.1}),
    End(name="more rounds than allowed", error=errors.ToolRoundsExceeded, replies=lambda api: [reply(*api.calls(CALL))],
        options={"tools": [go], "max_rounds": 1, "on_max_rounds": "raise"}),
    End(name="a failure behind a round of tools", error=errors.BadRequestError,
        replies=lambda api: [reply(*api.calls(CALL)), refusal("400 Bad", {"message": "x"})], options={"tools": [go]}),
    End(name="an object of the wrong shape, twice", error=errors.OutputInvalid,
        replies=lambda api: [reply(*api.answer('{"name": 1}'))], options={"output": City}),
    End(name="a pause for a person's word", error=errors.Paused,
        replies=lambda api: [reply(*api.calls(("c1", "delete", "{}")))], options={"tools": [delete]}),
    End(name="a failure of every model", error=errors.InternalServerError, replies=lambda _: [refusal("500 Oops")],
        options={"fallback": ["other", "third"]}),
]  # fmt: skip
both = pytest.mark.parametrize("api", BOTH, ids=lambda api: api.endpoint)
every_end = pytest.mark.parametrize("end", ENDS, ids=lambda end: end.name)


class Store:
    """Notes how a run ended."""

    def __init__(self) -> None:
        self.ends: list[Response | AquilaError] = []

    def on_complete(self, _: str, response: Response) -> None:
        self.ends.append(response)

    def on_error(self, _: str, error: AquilaError) -> None:
        self.ends.append(error)


@both
@every_end
async def test_a_failure_is_told_once_to_everybody_and_nothing_stays_open(api: Api, end: End) -> None:
    store = Store()
    heard: list[Event] = []
    own = aquila.sink.callback(heard.append)
    given: dict[str, Any] = {"endpoint": api.endpoint, "retry": QUICK, "metadata": {"job": 7}, **end.options}
    given["sink"] = aquila.sink.tee(own, persist(store))

    async with misbehave(*end.replies(api)) as server:
        stream = aquila.stream("hi", base_url=server.url, **given)
        seen: list[Event] = []
        with anyio.fail_after(10), pytest.raises(AquilaError) as caught:
            async for event in stream:
                seen.append(event)  # noqa: PERF401 - what came before the error counts
        with pytest.raises(AquilaError) as again:
            await stream
        await stream.aclose()
        assert [event async for event in stream] == []

    error = caught.value
    assert type(error) is end.error
    assert again.value is error
    assert store.ends == [error]
    assert [event.type for event in heard if event.type in {"done", "failed"}] == ["failed"]
    assert heard[:-1] == seen
    assert error.partial is not None
    assert (error.attempts, error.partial.meta) == (len(server.connections), {"job": 7})
    assert "sk-" not in repr(error)


@every_end
async def test_a_failure_frees_every_connection_that_cannot_be_used_again(end: End) -> None:
    async with misbehave(*end.replies(Chat)) as server:
        async with aquila.Client(base_url=server.url, retry=QUICK) as client:
            with pytest.raises(end.error):
                await client.ask("hi", **end.options)
            if issubclass(end.error, errors.TimeoutExceeded | errors.ConnectionFailed):
                await all_closed(server)
            # Whatever happened, the next run is not the worse for it.
            with pytest.raises(end.error):
                await client.ask("hi", **end.options)

        assert server.open <= 1


async def test_a_wrong_option_is_told_before_anybody_else_hears_of_the_run() -> None:
    heard: list[Event] = []

    async with misbehave(reply(*wire.answer("Hi"))) as server:
        with pytest.raises(errors.ConfigError):
            await aquila.ask(
                "hi", base_url=server.url, max_output_tokens=0, sink=aquila.sink.callback(heard.append)
            )

    assert (heard, server.connections) == ([], [])


async def test_a_failing_run_in_a_group_does_not_end_its_neighbours() -> None:
    answers: list[str] = []

    async def run(url: str) -> None:
        try:
            answers.append((await aquila.ask("hi", base_url=url, retry=0)).text)
        except AquilaError as error:
            answers.append(type(error).__name__)

    async def run_all(*urls: str) -> None:
        async with anyio.create_task_group() as tasks:
            for url in urls:
                tasks.start_soon(run, url)

    async with misbehave(refusal("500 Oops")) as bad, misbehave(reply(0.1, *wire.answer("Hi"))) as good:
        await run_all(good.url, bad.url, good.url)

    assert answers == ["InternalServerError", "Hi", "Hi"]


async def test_a_request_to_wait_that_the_deadline_does_not_leave_is_told_at_once() -> None:
    async with misbehave(refusal("429 Slow", {"message": "x"}, retry_after="5")) as server:
        with anyio.fail_after(3), pytest.raises(errors.RateLimitError) as caught:
            await aquila.ask("hi", base_url=server.url, timeout=1.0, retry=Retry(max_retries=5))

    assert (caught.value.retry_after, caught.value.attempts) == (5.0, 1)


async def test_each_round_of_tools_has_retries_of_its_own() -> None:
    bad = refusal("503 Busy")
    replies = [bad, bad, reply(*Chat.calls(CALL)), bad, bad, reply(*Chat.answer("Done"))]

    async with misbehave(*replies) as server:
        answer = await aquila.ask("hi", base_url=server.url, tools=[go], retry=QUICK)

    assert (answer.text, answer.attempts) == ("Done", 6)


async def test_a_deadline_bounds_all_rounds_together() -> None:
    async with misbehave(reply(0.1, *Chat.calls(CALL))) as server:
        with anyio.fail_after(5), pytest.raises(errors.TotalTimeout) as caught:
            await aquila.ask("hi", base_url=server.url, tools=[go], timeout=0.35, max_rounds=100)

    assert caught.value.partial is not None
    # The conversation so far is whole: each call has its result.
    roles = [message.role for message in caught.value.partial.messages]
    assert roles[:3] == ["user", "assistant", "tool"]
    assert 2 <= caught.value.attempts <= 4
