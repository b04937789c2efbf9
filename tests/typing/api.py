"""Checked by mypy, never run: what the public names are to a type checker."""

from __future__ import annotations

from typing import assert_type

import aquila
from aquila.sink import Collector


async def check() -> None:
    assert_type(await aquila.ask("hi", model="m", temperature=0.1), aquila.Response)
    stream = aquila.stream("hi")
    assert_type(stream, aquila.Stream)
    assert_type(await stream, aquila.Response)
    async for event in stream:
        assert_type(event, aquila.Event)
        match event:
            case aquila.Chunk(text=text):
                assert_type(text, str)
            case _:
                pass
    async for fragment in stream.text:
        assert_type(fragment, str)
    assert_type(aquila.sink.collector(), Collector[aquila.Event])
    assert_type(aquila.sink.collector(with_ref=True), Collector[tuple[str, aquila.Event]])
