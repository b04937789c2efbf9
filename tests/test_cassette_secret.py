from __future__ import annotations

import pytest

from aquila.cassette.secrets.secret import Secret, environment_secrets, request_secrets
from tests.tapes import KEY


def test_the_environment_knows_its_secrets_by_name() -> None:
    environ = {
        "MY_API_KEY": "a1234567",
        "GH_token": "abcdefgh",
        "DB_PASSWORD": "short",
        "HOME": "/home/somebody",
    }

    assert environment_secrets(environ) == (
        Secret("the value of MY_API_KEY", "a1234567"),
        Secret("the value of GH_token", "abcdefgh"),
    )


@pytest.mark.parametrize(
    "name",
    ["KEY", "API_KEYS", "API_KEY_2", "APP_SECRET_BASE", "PGPASSWORD", "SMTP_PASS", "GOOGLE_CREDENTIALS", "X_APIKEY"],
)  # fmt: skip
def test_a_word_of_the_name_is_enough(name: str) -> None:
    assert len(environment_secrets({name: "abcdefgh1234"})) == 1


@pytest.mark.parametrize(
    "name",
    ["MONKEY", "KEYBOARD", "SSH_KEY_PATH", "TOKEN_URL", "AWS_ACCESS_KEY_ID", "SECRET_NAME", "GPG_PUBLIC_KEY", "PWD"],
)  # fmt: skip
def test_a_name_that_is_only_about_a_secret_is_none(name: str) -> None:
    assert environment_secrets({name: "abcdefgh1234"}) == ()


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        ("/run/secrets/openai.txt", False),
        ("~/.config/key.pem", False),
        ("C:\\keys\\main.key", False),
        ("1234567890", False),
        ("required", False),
        ("postgres", False),
        ("********", False),
        ("/Ab3Kd93kdKDi39sldkDKq", True),
        ("environment-value", True),
    ],
)
def test_paths_numbers_and_dummies_are_no_secrets(value: str, counts: bool) -> None:
    assert bool(environment_secrets({"APP_SECRET": value})) is counts


def test_a_request_knows_its_own_credentials() -> None:
    found = request_secrets(
        "https://u:p%40ssword@e.test/?token=query-secret#/x?jwt=fragment-secret",
        {"Authorization": f"Bearer {KEY}"},
    )

    assert [secret.value for secret in found] == [KEY, "query-secret", "fragment-secret", "p@ssword"]


def test_the_password_of_basic_authentication_and_a_session_cookie_count() -> None:
    headers = {
        "authorization": "Basic dXNlcjpwYXNzd29yZDEy",
        "cookie": "theme=darkmode; sid=0123456789abcdefgh",
    }

    values = [secret.value for secret in request_secrets("https://e.test", headers)]

    assert values == ["dXNlcjpwYXNzd29yZDEy", "password12", "0123456789abcdefgh"]


def test_a_password_that_is_not_filled_up_counts() -> None:
    headers = {"authorization": "Basic dXNlcjpwYXNzd29yZDEyMw"}

    assert "password123" in [secret.value for secret in request_secrets("https://e.test", headers)]


def test_each_parameter_of_a_scheme_counts_but_those_that_only_tell() -> None:
    headers = {"authorization": 'Token token=opaque12345678, uri="/v1/chat/completions", nonce="abcdefgh"'}

    values = [secret.value for secret in request_secrets("https://e.test", headers)]

    assert values[-2:] == ["opaque12345678", "abcdefgh"]
    assert "/v1/chat/completions" not in values


def test_what_local_servers_are_given_for_a_key_is_no_secret() -> None:
    assert request_secrets("https://e.test", {"authorization": "Bearer lm-studio"}) == ()
    assert environment_secrets({"OPENAI_API_KEY": "sk-no-key-required"}) == ()


def test_a_secret_does_not_show_its_value() -> None:
    assert KEY not in repr(Secret("x", KEY))
