"""Writes the cassettes of what the local model cannot do, from the specification: `make cassettes` runs it.

Each is made by running the example that plays it, with the answers below in the place of a provider, and says
`source: written`.
"""

from __future__ import annotations

import os
import re
from importlib import import_module

import anyio

from aquila import transport
from aquila.testing import Answer, ScriptedTransport
from tests import responses_wire as wire
from tests.project_cassettes import ROOT

ANSWERS = {
    "tools": (
        Answer(chunks=wire.calls(
            wire.call("call_a", "weather", {"city": "Porto"}), wire.call("call_b", "weather", {"city": "Oslo"})
        )),
        Answer(chunks=wire.answer("Porto", " is warmer", ": 21 °C", " against", " 4 °C", ".", response_id="resp_2")),
    ),
    "images": (Answer(chunks=wire.answer("Red")),),
    "fallback": (
        Answer(
            status=503,
            headers={"content-type": "application/json"},
            chunks=[b'{"error": {"message": "The engine is currently overloaded", "type": "server_error"}}'],
        ),
        Answer(chunks=wire.answer("Hello", "!")),
    ),
}  # fmt: skip


def write(name: str) -> None:
    """Run one example against its answers, recording, and mark the cassette."""
    provider = ScriptedTransport(*ANSWERS[name])
    transport.openai_transport = lambda: provider  # type: ignore[assignment, return-value]
    anyio.run(import_module(f"examples.{name}").main)
    path = ROOT / "cassettes" / "examples" / f"{name}.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"(?m)^( +)(aquila:\n)", r"\1\2\1  source: written\n", text), encoding="utf-8")


if __name__ == "__main__":
    os.environ.update(
        AQUILA_CASSETTES="rewrite", AQUILA_CASSETTE_DIR=str(ROOT / "cassettes"), AQUILA_ENDPOINT="auto"
    )
    for example in ANSWERS:
        write(example)
