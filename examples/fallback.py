"""Let another model take over when the first one is overloaded, before anything was given out.

From a checkout, offline: AQUILA_CASSETTES=none AQUILA_CASSETTE_DIR=cassettes python examples/fallback.py
"""

import asyncio

import aquila


async def main() -> None:
    async with aquila.stream(
        "Say hello.", model="gpt-4o", fallback=["gpt-4o-mini"], retry=0, cassette="examples/fallback"
    ) as stream:
        async for event in stream:
            match event:
                case aquila.Status(name="fallback", data=data):
                    print(f"[{data['from']} failed, {data['to']} takes over]")
                case aquila.Chunk(text=text):
                    print(text, end="", flush=True)
                case _:
                    pass
    print()


if __name__ == "__main__":
    asyncio.run(main())
