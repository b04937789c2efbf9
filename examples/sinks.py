"""Feed one run into several sinks: a queue that another task reads, and a file.

From a checkout, offline: AQUILA_CASSETTES=none AQUILA_CASSETTE_DIR=cassettes python examples/sinks.py
"""

import tempfile
from pathlib import Path

import anyio

import aquila


async def read(queue: aquila.sink.Collector[aquila.Event]) -> None:
    async for event in queue:
        if isinstance(event, aquila.Chunk):
            print(event.text, end="", flush=True)
    print()


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer.txt"
        queue = aquila.sink.collector(size=16)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, queue)
            answer = await aquila.stream(
                "Write one sentence about the sea.",
                sink=aquila.sink.tee(queue, aquila.sink.file(path)),
                model="local",
                temperature=0,
                max_output_tokens=40,
                cassette="examples/sinks",
            )
        print(f"[the file holds the same: {path.read_text() == answer.text}]")


if __name__ == "__main__":
    anyio.run(main)
