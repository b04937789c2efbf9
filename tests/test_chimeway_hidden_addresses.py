from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimeway.hidden_addresses import address_pattern, without_address, without_emails, without_paths


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("401 for url 'https://hooks.example.com/services/T0/PLANTED'", "401 for url 'https://hooks.example.com/[...]'"),
        ("https://api.example.com?key=PLANTED failed", "https://api.example.com/[...] failed"),
        ("HTTPS://API.example.com:8443/x#PLANTED", "HTTPS://API.example.com:8443/[...]"),
        ("smtp://ada:PLANTED@mail.example.com", "smtp://mail.example.com"),
        ("redis://:PLANTED@cache:6379/0", "redis://cache:6379/[...]"),
        ("https://ada:PLANTED/x@host/", "https://[...]"),
        ("https:\\/\\/hooks.example.com\\/PLANTED", "https://hooks.example.com/[...]"),
        ("Max retries exceeded with url: /services/PLANTED (Caused by X)", "Max retries exceeded with url: /[...] (Caused by X)"),
        ("see https://example.com. Or https://example.com/", "see https://example.com. Or https://example.com/"),
        ("a/b and http:// and 1:2", "a/b and http:// and 1:2"),
    ],
)  # fmt: skip
def test_urls_are_cut_to_their_host(said: str, kept: str) -> None:
    assert without_paths(said) == kept


@given(st.text(st.sampled_from("ab:/@.?#[]()\\' "), max_size=40))
def test_cutting_urls_twice_changes_no_more(said: str) -> None:
    once = without_paths(said)

    assert without_paths(once) == once


@pytest.mark.parametrize(
    ("address", "said", "kept"),
    [
        ("yan@x.example", "no <YAN@X.EXAMPLE> here", "no <[redacted]> here"),
        ("Yan <yan@x.example>", "yan@x.example: Yan <yan@x.example>", "[redacted]: [redacted]"),
        ("+49 171 123-4567", "491711234567 and +49(171)1234567 and 5491711234567", "[redacted] and [redacted] and 5491711234567"),
        ("ab", "ab grab AB", "[redacted] grab [redacted]"),
        ("a.b+c@x", "aXb+c@x a.b+c@x", "aXb+c@x [redacted]"),
        (" ", "a b", "a b"),
        (None, "None", "None"),
    ],
)  # fmt: skip
def test_an_address_is_found_however_it_is_written(address: str | None, said: str, kept: str) -> None:
    assert without_address(said, address_pattern(address)) == kept


def test_other_addresses_of_emails_are_found_too() -> None:
    said = "to=<bo@y.example>, 'Cy.D+x@z.example' at @home, a @ b"

    assert without_emails(said) == "to=<[redacted]>, '[redacted]' at @home, a @ b"
