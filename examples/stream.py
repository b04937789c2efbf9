"""Print an answer while it comes; the connection is closed whatever happens.

From a checkout, offline: AQUILA_CASSETTES=none AQUILA_CASSETTE_DIR=cassettes python examples/stream.py
"""

import asyncio

import aquila


async def main() -> None:
    async with aquila.stream(
        "Count from one to five.",
        model="local",
        temperature=0,
        max_output_tokens=60,
        cassette="examples/stream",
    ) as stream:
        async for event in stream:
            match event:
                case aquila.Chunk(text=text):
                    print(text, end="", flush=True)
                case aquila.Done(response=response):
                    print(f"\n[first content after {response.time_to_first_chunk or 0:.3f} s]")
                case _:
                    pass


if __name__ == "__main__":
    asyncio.run(main())
