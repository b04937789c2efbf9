"""Checked by mypy, never run: what the public names are to a type checker."""

from __future__ import annotations

from typing import assert_type

from pydantic import BaseModel

import aquila
from aquila.sink import Collector


class Invoice(BaseModel):
    total: float


async def check() -> None:
    assert_type(await aquila.ask("hi", model="m", temperature=0.1), aquila.Response)
    assert_type((await aquila.ask("hi", output=Invoice)).parsed, Invoice)
    assert_type(aquila.stream("hi", output=Invoice), aquila.Stream[Invoice])
    assert_type((await aquila.Client().ask("hi", output=Invoice)).parsed, Invoice)
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
