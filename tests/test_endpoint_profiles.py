from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from aquila.endpoint import PROFILES, Profile, profile_for
from aquila.timeouts import Timeouts

SHORT = Timeouts(silence=120.0, first_chunk=120.0, idle=120.0)

#: URLs that choose each profile, and all it has that the general one has not.
ROWS: list[tuple[str, list[str], dict[str, Any]]] = [
    ("generic", ["https://llm.example/v1", "https://llm.example:8000/v1", "http://127.0.0.1:9/v1", "", "odd"], {}),
    (
        "openai",
        ["https://api.openai.com/v1", "https://API.OpenAI.com:443/v1", "https://eu.api.openai.com/v1"],
        {"endpoint": "responses", "max_tokens_field": "max_completion_tokens", "think_tags": False,
         "keeps_responses": True, "obfuscates": True},
    ),
    (
        "azure",
        ["https://me.openai.azure.com/openai/v1", "https://me.services.ai.azure.com/openai/v1",
         "https://me.cognitiveservices.azure.com/openai/v1"],
        {"key_header": "api-key", "max_tokens_field": "max_completion_tokens", "think_tags": False,
         "keeps_responses": True},
    ),
    ("openrouter", ["https://openrouter.ai/api/v1"], {"reasoning_field": "reasoning"}),
    ("vllm", ["http://gpu.lan:8000/v1"], {}),
    ("ollama", ["http://localhost:11434/v1"], {}),
    ("llama.cpp", ["http://127.0.0.1:8080/v1"], {"timeouts": SHORT}),
    ("local", ["http://aquila.local/v1"], {"timeouts": SHORT, "max_output_tokens": 1024}),
    ("lmstudio", ["http://localhost:1234/v1"], {}),
    ("mistral", ["https://api.mistral.ai/v1"], {"include_usage": False, "short_call_ids": True, "think_tags": False}),
    ("groq", ["https://api.groq.com/openai/v1"], {"max_tokens_field": "max_completion_tokens"}),
    ("deepseek", ["https://api.deepseek.com"], {"output_mode": "json_object", "think_tags": False}),
    ("gemini", ["https://generativelanguage.googleapis.com/v1beta/openai"], {"think_tags": False}),
    ("litellm", ["http://proxy.lan:4000"], {"keeps_responses": True}),
]  # fmt: skip


def test_every_profile_has_its_row() -> None:
    assert [name for name, _, _ in ROWS] == list(PROFILES)


@pytest.mark.parametrize(("name", "urls", "differs"), ROWS, ids=[row[0] for row in ROWS])
def test_a_profile_is_chosen_by_its_urls_and_differs_in_what_is_known(
    name: str, urls: list[str], differs: dict[str, Any]
) -> None:
    profile, general = PROFILES[name], PROFILES["generic"]

    found = {
        field.name: getattr(profile, field.name)
        for field in fields(Profile)
        if field.name != "name" and getattr(profile, field.name) != getattr(general, field.name)
    }

    assert [profile_for(url).name for url in urls] == [name] * len(urls)
    assert found == differs


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com.evil.example/v1",
        "https://notapi.openai.com/v1",
        "https://openrouter.ai.example/api",
        "https://evil.example/api.openai.com",
    ],
)
def test_a_host_that_only_looks_like_another_is_none(url: str) -> None:
    assert profile_for(url).name == "generic"
