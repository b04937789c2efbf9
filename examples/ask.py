"""Ask a model and print its answer, its tokens and why it ended.

From a checkout, offline: AQUILA_CASSETTES=none AQUILA_CASSETTE_DIR=cassettes python examples/ask.py
"""

import asyncio

import aquila


async def main() -> None:
    answer = await aquila.ask(
        "Why is the sky blue?",
        instructions="Answer in one sentence.",
        model="local",
        temperature=0,
        max_output_tokens=60,
        cassette="examples/ask",
    )
    print(answer.text)
    print(f"[{answer.finish_reason}, {answer.usage.output_tokens} tokens]" if answer.usage else "[no usage]")


if __name__ == "__main__":
    asyncio.run(main())
