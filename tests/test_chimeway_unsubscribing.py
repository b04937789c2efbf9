from __future__ import annotations

import base64
import json

import pytest
from job_hosts import plain_engine
from sqlalchemy.orm import Session

from aquila.errors import ConfigError
from chimeway.errors import ChimewayError
from chimeway.policy import Preference
from chimeway.recipients.preferences import apreferences, preferences
from chimeway.recipients.unsubscribing import (
    aunsubscribe,
    read_unsubscribe_token,
    unsubscribe,
    unsubscribe_token,
)

pytest_plugins = ["job_fixtures"]

SECRET = "a secret that nobody knows but this file"  # noqa: S105 - of these tests
OTHER = "another one that is as long as the first"
NEWS = Preference(enabled=False, category="news", channel="email")


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHIMEWAY_SECRET", SECRET)


def test_a_link_stores_the_no_it_was_made_for(place: None) -> None:
    token = unsubscribe_token("ada@1", category="news", channel="email", tenant_id="acme")
    said = read_unsubscribe_token(token)
    assert (said.recipient_identity, said.tenant_id, said.preference) == ("ada@1", "acme", NEWS)
    assert preferences("ada@1", tenant_id="acme").said == ()

    assert unsubscribe(token) == unsubscribe(token) == said

    assert preferences("ada@1", tenant_id="acme").said == (NEWS,)
    assert preferences("ada@1").said == ()


def test_a_link_works_in_the_transaction_of_the_host(place: None) -> None:
    token = unsubscribe_token(7, notification_key="mention")
    engine = plain_engine()
    with Session(engine) as session:
        unsubscribe(token, session=session)
        session.rollback()
    engine.dispose()

    assert preferences(7).said == ()


async def test_the_asynchronous_form_does_the_same(place: None) -> None:
    await aunsubscribe(unsubscribe_token(7))

    assert (await apreferences(7)).said == (Preference(enabled=False),)


def test_a_token_is_fit_for_a_url() -> None:
    token = unsubscribe_token("\u00e5\u00df\U0001f600?&/+=", category="n\u00e9ws")

    assert token.replace("-", "").replace("_", "").replace(".", "").isalnum()
    assert token.isascii()
    assert read_unsubscribe_token(token).recipient_identity == "\u00e5\u00df\U0001f600?&/+="


@pytest.mark.parametrize(
    "token", ["", ".", "a", "a.b", "!!.??", "\u00e9.\u00e9", "." * 5000, "x" * 5000, None]
)
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(ChimewayError, match="unsubscribe token was changed"):
        read_unsubscribe_token(token)


def test_a_token_that_was_changed_is_refused_whatever_was_changed() -> None:
    token = unsubscribe_token(7, channel="email")
    body, _, signature = token.partition(".")
    said = json.loads(base64.urlsafe_b64decode(body + "=="))
    said[1] = "8"
    forged = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")

    for changed in (
        f"{forged}.{signature}",
        f"{body}.{signature[:-4]}",
        f"{body}.",
        body,
        f"{body}.{signature}.x",
    ):
        with pytest.raises(ChimewayError, match="was changed"):
            read_unsubscribe_token(changed)


def test_a_token_of_another_secret_is_refused_unless_it_is_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = unsubscribe_token(7)
    monkeypatch.setenv("CHIMEWAY_SECRET", OTHER)
    with pytest.raises(ChimewayError, match="another secret"):
        read_unsubscribe_token(before)

    monkeypatch.setenv("CHIMEWAY_SECRET", f"{OTHER}, {SECRET}")

    assert read_unsubscribe_token(before).recipient_identity == "7"
    assert read_unsubscribe_token(unsubscribe_token(7), secret=OTHER).recipient_identity == "7"


@pytest.mark.parametrize("value", ["", "short", f"{SECRET},"])
def test_without_a_good_secret_no_token_is_made(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CHIMEWAY_SECRET", value)

    with pytest.raises(ConfigError, match="need a secret of at least 32 characters, in CHIMEWAY_SECRET"):
        unsubscribe_token(7)


def test_a_token_for_a_name_that_nothing_has_is_not_made() -> None:
    with pytest.raises(ConfigError, match="channel='E-Mail'"):
        unsubscribe_token(7, channel="E-Mail")
