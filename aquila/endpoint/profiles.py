"""The servers we know, and how a URL tells them. Pure data: one row for each quirk, tested row by row.

Sources: the API references of the providers, and what their servers answered.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from aquila.endpoint.profile import Profile
from aquila.timeouts import Timeouts

_LLAMA_CPP = Profile(
    name="llama.cpp",
    # A model on this machine answers within seconds or not at all.
    timeouts=Timeouts(silence=120.0, first_chunk=120.0, idle=120.0),
)
_OPENAI = Profile(
    name="openai",
    endpoint="responses",
    max_tokens_field="max_completion_tokens",
    think_tags=False,
    keeps_responses=True,
    obfuscates=True,
)

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(name="generic"),
        _OPENAI,
        _OPENAI.evolve(name="azure", endpoint="chat", key_header="api-key", obfuscates=False),
        Profile(name="openrouter", reasoning_field="reasoning"),
        Profile(name="vllm"),
        Profile(name="ollama"),
        _LLAMA_CPP,
        # The small model that comes with us repeats itself for minutes unless it is stopped.
        _LLAMA_CPP.evolve(name="local", max_output_tokens=1024),
        Profile(name="lmstudio"),
        # 422 for stream_options; usage comes unasked in the last chunk.
        Profile(name="mistral", include_usage=False, short_call_ids=True, think_tags=False),
        Profile(name="groq", max_tokens_field="max_completion_tokens"),
        # No JSON schemas: only `json_object`, with the schema in words.
        Profile(name="deepseek", output_mode="json_object", think_tags=False),
        Profile(name="gemini", think_tags=False),
        Profile(name="litellm", keeps_responses=True),
    )
}

_BY_HOST = (
    ("api.openai.com", "openai"),
    (".api.openai.com", "openai"),
    (".openai.azure.com", "azure"),
    (".services.ai.azure.com", "azure"),
    (".cognitiveservices.azure.com", "azure"),
    ("openrouter.ai", "openrouter"),
    ("api.mistral.ai", "mistral"),
    ("api.groq.com", "groq"),
    ("api.deepseek.com", "deepseek"),
    ("generativelanguage.googleapis.com", "gemini"),
    ("aquila.local", "local"),
)
#: The ports these servers listen on unless told otherwise.
_BY_PORT = {11434: "ollama", 1234: "lmstudio", 8080: "llama.cpp", 8000: "vllm", 4000: "litellm"}


def profile_for(base_url: str) -> Profile:
    """Choose by host, then by port, which only a server without TLS tells; `generic` when nothing is known."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    for known, name in _BY_HOST:
        if host == known or (known.startswith(".") and host.endswith(known)):
            return PROFILES[name]
    if parts.scheme == "http" and parts.port in _BY_PORT:
        return PROFILES[_BY_PORT[parts.port]]
    return PROFILES["generic"]
