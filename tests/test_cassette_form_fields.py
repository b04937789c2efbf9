from __future__ import annotations

import pytest

from aquila.cassette.body.form_fields import form_fields
from aquila.multipart import FilePart, encode_form


def told(body: bytes) -> list[tuple[str, bytes]]:
    return [(field.name, body[field.start : field.end]) for field in form_fields(body)]


def test_the_fields_of_a_multipart_form_have_their_exact_values() -> None:
    file = FilePart(name="file", filename="a.wav", media_type="audio/wav", data=b"\r\n--\x00\xff\r\n")
    body, _ = encode_form([("model", "m"), ("prompt", "two\r\n\r\nlines"), ("empty", "")], file)

    assert told(body) == [
        ("model", b"m"),
        ("prompt", b"two\r\n\r\nlines"),
        ("empty", b""),
        ("file", b"\r\n--\x00\xff\r\n"),
    ]


def test_a_form_that_was_cut_off_has_what_came() -> None:
    body, _ = encode_form([("a", "1"), ("b", "22222")])

    assert told(body[: body.index(b"22222") + 2]) == [("a", b"1"), ("b", b"22")]


def test_the_fields_of_an_urlencoded_form_have_their_names_decoded() -> None:
    assert told(b"a%5Fb=1&c+d=%20&e=") == [("a_b", b"1"), ("c d", b"%20"), ("e", b"")]


@pytest.mark.parametrize(
    "body", [b"", b"--", b"--\r\n", b'{"a":"b=c"}', b"a = b", b"abc", b"<a b=c>", b"--- a=b"]
)
def test_what_is_no_form_has_no_fields(body: bytes) -> None:
    assert told(body) == []
