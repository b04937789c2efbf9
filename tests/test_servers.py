from __future__ import annotations

from typing import Any

import pytest

from aquila.endpoint import Profile
from aquila.errors import ConfigError
from aquila.servers import Server, make_server
from aquila.settings import read_settings
from aquila.testing import ScriptedTransport
from aquila.transport import LocalTransport, OpenAITransport, RoutedTransport


def server(model: str = "m", environment: dict[str, str] | None = None, **options: Any) -> Server:
    return make_server(model, options, read_settings(environment or {}))  # type: ignore[arg-type]


def test_without_a_word_requests_go_to_openai() -> None:
    made = server(environment={"OPENAI_API_KEY": "sk-1"})

    assert made.destination.base_url == "https://api.openai.com/v1"
    assert made.destination.headers["authorization"] == "Bearer sk-1"
    assert made.profile.name == "openai"


def test_azure_gets_its_key_in_its_own_header_and_keeps_its_query() -> None:
    made = server(base_url="https://me.openai.azure.com/openai/v1?api-version=2026-01-01", api_key="k1")

    assert made.destination.headers["api-key"] == "k1"
    assert "authorization" not in made.destination.headers
    request = made.destination.request("POST", "/chat/completions", query="a=b")
    assert request.url == (
        "https://me.openai.azure.com/openai/v1/chat/completions?api-version=2026-01-01&a=b"
    )


def test_the_local_model_takes_no_key_along_and_has_shorter_clocks() -> None:
    made = server("local", {"OPENAI_API_KEY": "sk-1"})

    assert made.destination.base_url == "http://aquila.local/v1"
    assert "authorization" not in made.destination.headers
    assert made.destination.timeouts.idle == 120
    assert isinstance(made.destination.transport().owner, LocalTransport)  # type: ignore[attr-defined]


def test_a_transport_that_knows_its_server_says_where_requests_go() -> None:
    mistral = OpenAITransport(base_url="https://api.mistral.ai/v1", api_key="k")

    alone = server(transport=mistral)
    routed = server("mistral-small", transport=RoutedTransport({"mistral-*": mistral, "*": None}))
    other = server("gpt-4o", transport=RoutedTransport({"mistral-*": mistral, "*": None}))

    assert (alone.destination.base_url, alone.profile.name) == ("https://api.mistral.ai/v1", "mistral")
    assert (routed.destination.base_url, routed.profile.name) == ("https://api.mistral.ai/v1", "mistral")
    assert other.profile.name == "openai"


def test_a_profile_is_overridden_by_name_or_by_record() -> None:
    mine = Profile(name="mine", include_usage=False)

    assert server(base_url="https://llm.example/v1").profile.name == "generic"
    assert server(base_url="https://llm.example/v1", profile="vllm").profile.name == "vllm"
    assert server(base_url="https://llm.example/v1", profile=mine).profile is mine
    with pytest.raises(ConfigError, match="profile='nope' is unknown; use one of azure, deepseek"):
        server(profile="nope")


def test_a_given_transport_stays_open() -> None:
    given = ScriptedTransport()

    assert server(transport=given).destination.transport().owner is given  # type: ignore[attr-defined]


def test_secrets_are_the_key_and_what_stands_in_the_url() -> None:
    made = server(base_url="https://llm.example/v1?key=abcdefghij", api_key="sk-123456789")

    assert {"sk-123456789", "Bearer sk-123456789", "abcdefghij"} <= set(made.destination.secrets)
    assert "sk-123456789" not in repr(made.destination)
