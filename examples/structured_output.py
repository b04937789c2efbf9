"""Ask for an object instead of text, and watch it grow.

From a checkout, offline: AQUILA_CASSETTES=none AQUILA_CASSETTE_DIR=cassettes python examples/structured_output.py
"""

import asyncio

from pydantic import BaseModel

import aquila


class Person(BaseModel):
    """Somebody mentioned in a text."""

    name: str
    age: int


async def main() -> None:
    async with aquila.stream(
        "Grace, who is 37, keeps the lighthouse.",
        output=Person,
        instructions="Extract the person.",
        model="local",
        temperature=0,
        max_output_tokens=60,
        cassette="examples/structured_output",
    ) as stream:
        async for event in stream:
            if isinstance(event, aquila.Partial):
                print(event.value)
        person = (await stream).parsed
    print(repr(person))


if __name__ == "__main__":
    asyncio.run(main())
