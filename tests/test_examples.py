"""Every example, run as a user runs it, offline from its cassette."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aquila.shared_server import stop
from jobs.embedded import SERVER_NAME
from tests.project_cassettes import ROOT

SAYS = {
    "ask": ("sky", "tokens]"),
    "conversation": ("Paris", "['system', 'user', 'assistant', 'user', 'assistant']"),
    "mention": (
        "[inbox of ada: Bo mentioned you in comment 1]",
        "[ada reads it, cy does not]",
        "-- email to user cy <cy@example.com>",
        "by the signal 'chimeway.notification.read'",
        "cy: workflow 'mention-escalation' for 'cy': complete",
    ),
    "fallback": ("[gpt-4o failed, gpt-4o-mini takes over]", "Hello!"),
    "images": ("Red",),
    "shop": (
        "[attempt 1]",
        "[the courier did not answer; again in 0.1 s]",
        "[attempt 2]",
        "[receipt 1, parcel 1Z-77: 2 attempts, charged 1 time]",
    ),
    "sinks": ("sea", "[the file holds the same: True]"),
    "stream": ("5", "[first content after "),
    "structured_output": ("Person(name='Grace', age=37)",),
    "tools": (
        "-> weather({'city': 'Porto'})",
        '<- ok: {"city":"Oslo","celsius":4}',
        "Porto is warmer: 21 °C",
    ),
}


def run(name: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AQUILA_", "OPENAI_"))}
    cassettes = {"AQUILA_CASSETTES": "none", "AQUILA_CASSETTE_DIR": str(ROOT / "cassettes")}
    return subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py")],
        env={**kept, **cassettes, **environment, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_every_example_is_listed_here() -> None:
    found = {path.stem for path in (ROOT / "examples").glob("*.py")}

    assert found - {"demo"} == set(SAYS)


@pytest.mark.parametrize("name", sorted(SAYS))
def test_an_example_runs_offline_from_its_cassette(name: str, tmp_path: Path) -> None:
    done = run(name, AQUILA_STATE_DIR=str(tmp_path))
    stop(SERVER_NAME, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    for words in SAYS[name]:
        assert words in done.stdout


@pytest.mark.parametrize("name", ["fallback", "images", "tools"])
def test_what_the_local_model_cannot_do_says_that_it_was_written(name: str) -> None:
    text = (ROOT / "cassettes" / "examples" / f"{name}.yaml").read_text(encoding="utf-8")

    assert text.count("source: written") == text.count("- request:")
