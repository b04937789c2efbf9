"""The environment in which the project's own cassettes replay, or are recorded."""

from __future__ import annotations

from pathlib import Path

from aquila.cassette.defaults import DEFAULTS

ROOT = Path(__file__).parent.parent
MODEL = ROOT / ".aquila" / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"


def cassette_settings() -> dict[str, str]:
    """Say where the cassettes are and what to do with them: to replay, unless `pytest --aquila-record` says otherwise."""
    mode = DEFAULTS.mode or "none"
    model = {"AQUILA_LOCAL_MODEL": str(MODEL)} if mode != "none" else {}
    return {"AQUILA_CASSETTES": mode, "AQUILA_CASSETTE_DIR": str(ROOT / "cassettes"), **model}
