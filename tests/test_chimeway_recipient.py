from __future__ import annotations

from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest

from chimeway.errors import NotifierInvalid
from chimeway.recipient import Recipient, as_recipients


class Who(StrEnum):
    ADA = "ada"


@pytest.mark.parametrize(
    ("given", "identities"),
    [
        ("ada", ["ada"]),
        (7, ["7"]),
        (UUID(int=7), [str(UUID(int=7))]),
        (Who.ADA, ["ada"]),
        (Recipient("ada"), ["ada"]),
        (["ada", 7, Recipient("bob")], ["ada", "7", "bob"]),
        (("ada", "ada"), ["ada"]),
        ((name for name in ("ada", "bob")), ["ada", "bob"]),
        ([], []),
    ],
)
def test_an_id_a_recipient_or_several_are_read(given: Any, identities: list[str]) -> None:
    assert [one.identity for one in as_recipients(given)] == identities


def test_the_first_recipient_of_an_identity_counts() -> None:
    first, second = Recipient("ada", addresses={"email": "a@x.example"}), Recipient("ada", "admin")

    assert as_recipients([first, second, "ada"]) == [first]


def test_addresses_that_are_not_known_are_left_out() -> None:
    [one] = as_recipients(Recipient("ada", addresses={"email": None, "sms": "", "push": "token"}))

    assert one.addresses == {"push": "token"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "not NoneType"),
        (True, "not bool"),
        (7.0, "not float"),
        (b"ada", "not bytes"),
        ({"identity": "ada"}, "not dict"),
        ([None], "not NoneType"),
        ([["ada"]], "not list"),
        ("", "identity has 1 to 255 characters"),
        (" ", "identity has 1 to 255 characters"),
        ("x" * 256, "identity has 1 to 255 characters"),
        ("a\x00b", "identity holds control characters"),
        ("a\ud800", "identity holds control characters or halves"),
        (Recipient(7), "identity is text, not int"),  # type: ignore[arg-type]
        (Recipient("ada", ""), "recipient_type has 1 to 100"),
        (Recipient("ada", locale="x" * 36), "locale has 1 to 35"),
        (
            Recipient("ada", addresses=["a@x.example"]),
            "addresses are a mapping of channel to address, not list",
        ),  # type: ignore[arg-type]
        (Recipient("ada", addresses={"email": 7}), "address for 'email' is text, not int"),
        (Recipient("ada", addresses={"email": "x" * 2001}), "address for 'email' has 1 to 2000"),
        (Recipient("ada", addresses={7: "x"}), "key of type int"),  # type: ignore[dict-item]
    ],
)
def test_what_names_nobody_or_cannot_be_kept_is_refused(given: Any, words: str) -> None:
    with pytest.raises(NotifierInvalid, match=words):
        as_recipients(given)


def test_an_address_is_in_no_error_and_in_no_representation() -> None:
    recipient = Recipient("ada", addresses={"email": "ada@x.example\n"})

    with pytest.raises(NotifierInvalid) as raised:
        as_recipients(recipient)

    assert "ada@x" not in f"{raised.value}{recipient!r}"


def test_a_recipient_comes_back_from_its_json_also_from_another_versions() -> None:
    one = Recipient("ada", "admin", {"email": "a@x.example"}, "de-AT")

    assert Recipient.from_dict({**one.to_dict(), "newer": 1}) == one
    assert Recipient(**one.to_dict()) == one
    assert hash(one) == hash(Recipient("ada", "admin", {}, "de-AT"))
