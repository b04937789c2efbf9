from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aquila.errors import ConfigError
from chimeway.errors import FeedbackRefused
from chimeway.feedback_signature import read_secret, sign, verify

#: The example of the Standard Webhooks specification.
KEY = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def test_the_example_of_the_specification_is_signed_alike() -> None:
    assert sign(KEY, HEADERS["webhook-id"], AT, BODY) == HEADERS


def test_one_signature_of_several_and_one_secret_of_several_is_enough() -> None:
    several = HEADERS | {"webhook-signature": f"v1,AAAA v2,{'x' * 9} {HEADERS['webhook-signature']}"}

    assert verify([read_secret("another secret of mine"), KEY], several, BODY, AT) == HEADERS["webhook-id"]


@pytest.mark.parametrize("apart", [-300, 300])
def test_clocks_may_be_five_minutes_apart(apart: int) -> None:
    assert verify([KEY], HEADERS, BODY, AT + timedelta(seconds=apart))
    with pytest.raises(FeedbackRefused, match="301 s away"):
        verify([KEY], HEADERS, BODY, AT + timedelta(seconds=apart + apart // 300))


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-id": "msg_other"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": HEADERS["webhook-signature"].removeprefix("v1,")},
        {"webhook-signature": "v1,ä"},
        {"webhook-timestamp": "1614265331"},
    ],
)
def test_whatever_is_changed_no_longer_fits(changes: dict[str, str]) -> None:
    with pytest.raises(FeedbackRefused, match="does not fit"):
        verify([KEY], HEADERS | changes, BODY, AT)
    with pytest.raises(FeedbackRefused, match="does not fit"):
        verify([KEY], HEADERS, BODY + b" ", AT)
    with pytest.raises(FeedbackRefused, match="does not fit"):
        verify([], HEADERS, BODY, AT)


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_a_header_that_is_missing_is_named(name: str) -> None:
    rest = {other: value for other, value in HEADERS.items() if other != name}

    with pytest.raises(FeedbackRefused, match=f"no header '{name}'"):
        verify([KEY], rest, BODY, AT)


@pytest.mark.parametrize("timestamp", ["soon", "-1", "1e9", "\u0661\u0662", "9" * 400, " 1614265330"])
def test_a_time_that_is_none_is_refused(timestamp: str) -> None:
    with pytest.raises(FeedbackRefused, match="no number of seconds"):
        verify([KEY], HEADERS | {"webhook-timestamp": timestamp}, BODY, AT)


@pytest.mark.parametrize("secret", ["", "short", "whsec_", "whsec_!!!!", "whsec_QUJD", 7, None])
def test_a_secret_that_can_be_guessed_or_is_none_is_refused_and_not_shown(secret: object) -> None:
    with pytest.raises(ConfigError) as raised:
        read_secret(secret)  # type: ignore[arg-type]

    assert "short" not in str(raised.value)
    assert "QUJD" not in str(raised.value)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-signature"])
def test_headers_that_are_no_text_are_refused(name: str) -> None:
    for value in ("\ud800", b"x", None):
        with pytest.raises(FeedbackRefused):
            verify([KEY], {**HEADERS, name: value}, BODY, AT)  # type: ignore[dict-item]
