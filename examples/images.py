"""Show a model a picture.

From a checkout, offline: AQUILA_CASSETTES=none AQUILA_CASSETTE_DIR=cassettes python examples/images.py
"""

import asyncio
from base64 import b64decode

import aquila

#: A red square of one pixel; `aquila.image("photo.jpg")` and `aquila.image("https://...")` work as well.
RED = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)


async def main() -> None:
    answer = await aquila.ask(
        ["Which colour is this? One word.", aquila.image(RED, detail="low")],
        model="gpt-4o-mini",
        cassette="examples/images",
    )
    print(answer.text)


if __name__ == "__main__":
    asyncio.run(main())
