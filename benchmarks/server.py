"""A server that streams chat completion chunks as fast as the socket takes them, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys


def body(chunks: int) -> bytes:
    """Build a streamed answer of so many chunks, HTTP framing included."""
    events = []
    for number in range(chunks):
        choice = {"index": 0, "delta": {"content": f" token{number}"}, "finish_reason": None}
        events.append({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                       "system_fingerprint": "fp_1", "choices": [choice]})  # fmt: skip
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    events.append(
        {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [last]}
    )
    lines = [f"data: {json.dumps(event)}\n\n".encode() for event in events] + [b"data: [DONE]\n\n"]
    framed = b"".join(f"{len(line):x}\r\n".encode() + line + b"\r\n" for line in lines)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + framed + b"0\r\n\r\n"


async def main(chunks: int) -> None:
    answer = body(chunks)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
                )
                await reader.readexactly(int(length.split(b":")[1]))
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
