"""Keep a conversation going: each answer carries the history for the next turn.

From a checkout, offline: AQUILA_CASSETTES=none AQUILA_CASSETTE_DIR=cassettes python examples/conversation.py
"""

import asyncio

import aquila


async def main() -> None:
    async with aquila.Client(
        model="local", temperature=0, max_output_tokens=40, cassette="examples/conversation"
    ) as client:
        first = await client.ask(
            "What is the capital of France?", instructions="Answer in one short sentence."
        )
        print(first.text)
        second = await client.ask("In which country is that city?", messages=first.messages)
        print(second.text)
        print([message.role for message in second.messages])


if __name__ == "__main__":
    asyncio.run(main())
