"""The provider's name, as OpenTelemetry spells it, from the address of the API."""

from __future__ import annotations

from urllib.parse import urlsplit

from aquila.transport.base import LOCAL_BASE_URL

#: The end of the host, and the name; the first that fits counts.
_PROVIDERS = (
    ("api.openai.com", "openai"),
    ("openai.azure.com", "azure.ai.openai"),
    ("services.ai.azure.com", "azure.ai.inference"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("anthropic.com", "anthropic"),
    ("amazonaws.com", "aws.bedrock"),
    ("mistral.ai", "mistral_ai"),
    ("groq.com", "groq"),
    ("deepseek.com", "deepseek"),
    ("perplexity.ai", "perplexity"),
    ("api.x.ai", "x_ai"),
    ("cohere.ai", "cohere"),
    ("cohere.com", "cohere"),
    ("openrouter.ai", "openrouter"),
)
_LOCAL_HOST = urlsplit(LOCAL_BASE_URL).hostname


def provider_name(server: str | None) -> str:
    """Name the provider behind a base URL: a well-known name, `local` for the model on this machine, or the host.

    Args:
        server: The base URL or the bare host; None gives `unknown`.
    """
    host, _ = server_address(server)
    if host is None:
        return "unknown"
    if host == _LOCAL_HOST:
        return "local"
    return next((name for end, name in _PROVIDERS if host == end or host.endswith("." + end)), host)


def server_address(server: str | None) -> tuple[str | None, int | None]:
    """Split a base URL, or a bare host, into host and port; the port is the scheme's own where none is said."""
    if not server:
        return None, None
    try:
        parts = urlsplit(server if "://" in server else f"//{server}")
        port = parts.port
    except ValueError:
        # An address that cannot be read is refused elsewhere, with a better word than telemetry has.
        return None, None
    return parts.hostname, port or {"http": 80, "https": 443}.get(parts.scheme)
