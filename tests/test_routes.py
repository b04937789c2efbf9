from __future__ import annotations

import anyio
import pytest

from aquila.errors import ConfigError
from aquila.testing import Answer, ScriptedTransport
from aquila.transport import LocalTransport, OpenAITransport, PacedTransport, Request, RoutedTransport
from tests import wire
from tests.wire import Connection


def request(model: str | None, url: str = "http://127.0.0.1:1/v1") -> Request:
    return Request(method="POST", url=url, model=model)


async def asked(
    routes: dict[str, ScriptedTransport], model: str, default: ScriptedTransport | None = None
) -> str:
    await RoutedTransport(routes, default).send(request(model))
    everyone = {**routes, "default": default or ScriptedTransport()}
    return next(pattern for pattern, transport in everyone.items() if transport.requests)


@pytest.mark.parametrize(
    ("model", "pattern"),
    [
        ("gpt-5", "gpt-*"),
        ("gpt-5-mini", "gpt-5-*"),
        ("gpt-5-nano", "gpt-5-nano"),
        ("local/small/q4", "local/*"),
        ("o3", "o[0-9]"),
        ("GPT-5", "*"),
        ("exact[1]", "exact[1]"),
        ("", "*"),
    ],
)
async def test_an_exact_name_comes_first_and_then_the_longest_pattern(model: str, pattern: str) -> None:
    patterns = ("*", "gpt-*", "gpt-5-*", "gpt-5-????*", "gpt-5-nano", "local/*", "o[0-9]", "exact[1]")
    routes = {name: ScriptedTransport(Answer()) for name in patterns}
    routes.pop("gpt-5-????*")

    assert await asked(routes, model) == pattern


async def test_of_equally_long_patterns_the_first_one_counts() -> None:
    routes = {name: ScriptedTransport(Answer()) for name in ("gpt-?", "gpt-*")}

    assert await asked(routes, "gpt-5") == "gpt-?"


async def test_a_model_that_no_pattern_fits_goes_to_the_default() -> None:
    routes = {"gpt-*": ScriptedTransport(Answer())}

    assert await asked(routes, "claude", default=ScriptedTransport(Answer())) == "default"


@pytest.mark.parametrize("model", ["claude", None])
async def test_without_a_default_the_model_and_the_patterns_are_named(model: str | None) -> None:
    transport = RoutedTransport({"gpt-*": None, "local/*": None})
    says = rf"no route for model={model!r}; the patterns are 'gpt-\*', 'local/\*'"

    with pytest.raises(ConfigError, match=says):
        await transport.send(request(model))
    with pytest.raises(ConfigError, match=says):
        transport.base_url_for(model)


async def test_a_route_to_nothing_goes_where_calls_without_a_transport_go() -> None:
    async def handler(connection: Connection) -> None:
        connection.play([b"x"])

    async with wire.serve(handler) as server:
        response = await RoutedTransport({"*": None}).send(request("m", server.url))
        assert [chunk async for chunk in response.chunks] == [b"x"]
        await response.aclose()


def test_a_route_tells_the_base_url_of_its_transport() -> None:
    groq = OpenAITransport(base_url="https://api.groq.com/openai/v1", api_key="k")
    transport = RoutedTransport(
        {
            "groq/*": groq,
            "paced/*": PacedTransport(groq),
            "routed/*": RoutedTransport({"*": groq}),
            "mine": LocalTransport(),
            "gpt-*": None,
            "local": None,
            "fake": ScriptedTransport(Answer()),
        }
    )

    for model in ("groq/llama", "paced/llama", "routed/llama"):
        assert transport.base_url_for(model) == "https://api.groq.com/openai/v1"
    for model in ("mine", "local"):
        assert transport.base_url_for(model) == "http://aquila.local/v1"
    for model in ("gpt-5", "fake"):
        assert transport.base_url_for(model) is None


async def test_each_route_sends_its_own_key_and_no_other_one() -> None:
    async def handler(connection: Connection) -> None:
        connection.play([b"x"])

    async with wire.serve(handler) as ours, wire.serve(handler) as theirs:
        transport = RoutedTransport(
            {"a": None, "b": OpenAITransport(base_url=theirs.url, api_key="their-key")}
        )
        for model, server in (("a", ours), ("b", theirs)):
            message = Request(
                method="POST", url=server.url, model=model, headers={"authorization": "Bearer our-key"}
            )
            response = await transport.send(message)
            await response.aclose()

    assert "authorization: Bearer our-key" in ours.connections[0].head
    assert "our-key" not in theirs.connections[0].head


async def test_the_transports_stay_the_caller_s_to_close() -> None:
    class Closable(ScriptedTransport):
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    inner = Closable(Answer())

    await RoutedTransport({"*": inner}, inner).aclose()

    assert not inner.closed


def test_routes_that_lead_nowhere_are_refused() -> None:
    with pytest.raises(ConfigError, match="has no route"):
        RoutedTransport({})
    with pytest.raises(ConfigError, match="a pattern is empty"):
        RoutedTransport({"": None})


async def test_many_requests_at_once_find_their_ways() -> None:
    routes = {name: ScriptedTransport(Answer()) for name in ("a*", "b*")}
    transport = RoutedTransport(routes)

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(transport.send, request(f"{'ab'[number % 2]}{number}"))

    assert [len(inner.requests) for inner in routes.values()] == [25, 25]
