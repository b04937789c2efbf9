"""Every client behind one face: open it, then read answers with it.

Each is used as its own documents show, with one client for many requests where it has one. Imports stay inside, because
a process measures one client and must not pay for the others.
"""
# ruff: noqa: DOC402, PLC0415 - see above; what each one yields is said once, at `Read`.

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

Each = Callable[[str], None]
#: Reads one answer of the model named, and gives each piece of its text as soon as it is there.
Read = Callable[[str, Each], Coroutine[Any, Any, None]]
Open = Callable[[str], AbstractAsyncContextManager[Read]]

_ASK: list[Any] = [{"role": "user", "content": "hi"}]


@asynccontextmanager
async def aquila_events(url: str) -> AsyncIterator[Read]:
    """Iterate Aquila's events."""
    import aquila

    client = aquila.Client(base_url=url)

    async def read(model: str, each: Each) -> None:
        async with client.stream("hi", model=model) as stream:
            async for event in stream:
                if isinstance(event, aquila.Chunk):
                    each(event.text)

    async with client:
        yield read


@asynccontextmanager
async def aquila_ask(url: str) -> AsyncIterator[Read]:
    """Ask Aquila; the text comes as one piece, at the end."""
    import aquila

    client = aquila.Client(base_url=url)

    async def read(model: str, each: Each) -> None:
        each((await client.ask("hi", model=model)).text)

    async with client:
        yield read


@asynccontextmanager
async def socket_loop(url: str) -> AsyncIterator[Read]:
    """Take the lower bound."""
    from benchmarks.socket_loop import fetch

    context = ssl.create_default_context() if url.startswith("https") else None

    async def read(model: str, each: Each) -> None:
        await fetch(url, model, each, context)

    yield read


def _lines(library: str) -> Open:
    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Read]:
        import importlib
        import json

        http = importlib.import_module(library)
        limits = http.Limits(max_connections=None, max_keepalive_connections=None)
        context = ssl.create_default_context()

        async def read(model: str, each: Each) -> None:
            body = {"model": model, "messages": _ASK, "stream": True}
            async with client.stream("POST", f"{url}/chat/completions", json=body) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data: {"):
                        text = json.loads(line[6:])["choices"][0]["delta"].get("content")
                        if text:
                            each(text)

        async with http.AsyncClient(timeout=None, limits=limits, verify=context) as client:
            yield read

    return opened


@asynccontextmanager
async def openai_create(url: str) -> AsyncIterator[Read]:
    """Iterate the chunks of `create(stream=True)`."""
    import openai

    async def read(model: str, each: Each) -> None:
        stream = await client.chat.completions.create(model=model, messages=_ASK, stream=True)
        async for chunk in stream:
            text = chunk.choices[0].delta.content
            if text:
                each(text)

    async with openai.AsyncOpenAI(base_url=url, api_key="k", http_client=_openai_http()) as client:
        yield read


def _openai_http() -> Any:
    # Its own defaults, but for the certificate made for this run, and no bound of its own on connections and time.
    import httpx2
    import openai

    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    return openai.DefaultAsyncHttpxClient(verify=ssl.create_default_context(), limits=limits, timeout=None)


@asynccontextmanager
async def langchain(url: str) -> AsyncIterator[Read]:
    """Iterate LangChain's messages."""
    from langchain_openai import ChatOpenAI

    async def read(model: str, each: Each) -> None:
        async for chunk in chat.astream("hi", model=model):
            if chunk.content:
                each(str(chunk.content))

    async with _openai_http() as http:
        chat = ChatOpenAI(model="m", base_url=url, api_key="k", http_async_client=http)
        yield read


@asynccontextmanager
async def pydantic_ai(url: str) -> AsyncIterator[Read]:
    """Iterate the text of an agent without tools."""
    import openai
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    async def read(model: str, each: Each) -> None:
        agent = Agent(OpenAIChatModel(model, provider=provider))
        async with agent.run_stream("hi") as result:
            async for text in result.stream_text(delta=True, debounce_by=None):
                each(text)

    async with openai.AsyncOpenAI(base_url=url, api_key="k", http_client=_openai_http()) as client:
        provider = OpenAIProvider(openai_client=client)
        yield read


@asynccontextmanager
async def any_llm(url: str) -> AsyncIterator[Read]:
    """Iterate any-llm's chunks."""
    from any_llm import AnyLLM

    async def read(model: str, each: Each) -> None:
        stream: Any = await client.acompletion(model=model, messages=_ASK, stream=True)
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                each(chunk.choices[0].delta.content)

    async with _openai_http() as http:
        client = AnyLLM.create("openai", api_key="k", api_base=url, http_client=http)
        yield read


@asynccontextmanager
async def llm(url: str) -> AsyncIterator[Read]:
    """Iterate the text of Simon Willison's llm."""
    from llm.default_plugins.openai_models import AsyncChat

    async def read(model: str, each: Each) -> None:
        chat = AsyncChat(model, key="k", model_name=model, api_base=url)
        async for text in chat.prompt("hi", stream=True):
            if text:
                each(text)

    yield read


CLIENTS: dict[str, Open] = {
    "aquila": aquila_events,
    "aquila, ask": aquila_ask,
    "socket loop": socket_loop,
    "httpx": _lines("httpx"),
    "httpx2": _lines("httpx2"),
    "openai": openai_create,
    "any-llm": any_llm,
    "llm": llm,
    "langchain": langchain,
    "pydantic-ai": pydantic_ai,
}
