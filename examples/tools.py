"""Let a model call your functions; the schema comes from signature and docstring.

From a checkout, offline: AQUILA_CASSETTES=none AQUILA_CASSETTE_DIR=cassettes python examples/tools.py
"""

import asyncio

import aquila


def weather(city: str) -> dict[str, object]:
    """Look up the weather.

    Args:
        city: The city's name.
    """
    return {"city": city, "celsius": {"Porto": 21, "Oslo": 4}[city]}


async def main() -> None:
    async with aquila.stream(
        "Is it warmer in Porto or in Oslo?", model="gpt-4o-mini", tools=[weather], cassette="examples/tools"
    ) as stream:
        async for event in stream:
            match event:
                case aquila.ToolCall(name=name, arguments=arguments):
                    print(f"-> {name}({arguments})")
                case aquila.ToolResult(output=output, status=status):
                    print(f"<- {status}: {output}")
                case aquila.Chunk(text=text):
                    print(text, end="", flush=True)
                case _:
                    pass
    print()


if __name__ == "__main__":
    asyncio.run(main())
