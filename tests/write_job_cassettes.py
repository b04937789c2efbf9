"""Writes the cassette of a sound that the docs have written down, which the local model cannot: `source: written`."""

from __future__ import annotations

import os
import re
import tempfile
import wave
from pathlib import Path

import anyio

from aquila import transport
from aquila.testing import Answer, ScriptedTransport
from jobs.llm import transcribe
from tests.project_cassettes import ROOT
from tests.wire import event

SAID = ("The light ", "is lit ", "at dusk.")
ANSWER = Answer(
    chunks=[
        *(event({"type": "transcript.text.delta", "delta": text}) for text in SAID),
        event({"type": "transcript.text.done", "text": "".join(SAID),
               "usage": {"type": "tokens", "input_tokens": 12, "output_tokens": 7, "total_tokens": 19}}),
    ]
)  # fmt: skip


def write(folder: Path) -> None:
    """Run the actor against its answer, recording, and mark the cassette."""
    sound = folder / "talk.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 1, 8000, 0, "NONE", ""))
        file.writeframes(bytes([128]) * 400)
    provider = ScriptedTransport(ANSWER)
    transport.openai_transport = lambda: provider  # type: ignore[assignment, return-value]
    anyio.run(lambda: transcribe(str(sound), language="en"))
    path = ROOT / "cassettes" / "jobs" / "transcribe.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"(?m)^( +)(aquila:\n)", r"\1\2\1  source: written\n", text), encoding="utf-8")


if __name__ == "__main__":
    os.environ.update(AQUILA_CASSETTES="rewrite", AQUILA_CASSETTE_DIR=str(ROOT / "cassettes"))
    with tempfile.TemporaryDirectory() as name:
        write(Path(name))
