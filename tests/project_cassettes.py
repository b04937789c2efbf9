"""The environment in which the project's own cassettes replay, or are recorded."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parent.parent
MODEL = ROOT / ".aquila" / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"


def cassette_settings() -> dict[str, str]:
    """Say where the cassettes are and what to do with them; `pytest --record` makes it `rewrite`."""
    mode = os.environ.get("PROJECT_CASSETTES", "none")
    model = {"AQUILA_LOCAL_MODEL": str(MODEL)} if mode != "none" else {}
    return {"AQUILA_CASSETTES": mode, "AQUILA_CASSETTE_DIR": str(ROOT / "cassettes"), **model}
