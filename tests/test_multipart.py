from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aquila.errors import ConfigError
from aquila.multipart import FilePart, encode_form
from tests.forms import read_form


def sound(
    data: bytes = b"\x00\r\n--x\xff", filename: str = "a.mp3", media_type: str = "audio/mpeg"
) -> FilePart:
    return FilePart(name="file", filename=filename, media_type=media_type, data=data)


def test_a_form_is_fields_and_files_in_order() -> None:
    body, kind = encode_form([("model", "m"), ("include[]", "a"), ("include[]", "b")], sound())

    parts = read_form(kind, body)

    assert [parameters["name"] for parameters, _, _ in parts] == ["model", "include[]", "include[]", "file"]
    assert [data for _, _, data in parts] == [b"m", b"a", b"b", b"\x00\r\n--x\xff"]
    assert parts[3][:2] == ({"name": "file", "filename": "a.mp3"}, "audio/mpeg")


def test_equal_forms_are_equal_bytes_and_others_have_another_mark() -> None:
    assert encode_form([("a", "b")], sound()) == encode_form([("a", "b")], sound())
    assert encode_form([("a", "b")])[1] != encode_form([("a", "c")])[1]


def test_the_exact_bytes_of_a_form() -> None:
    body, kind = encode_form([("a", "ü")], sound(b"x", filename='q"ü.wav'))

    mark = kind.removeprefix("multipart/form-data; boundary=")
    assert (
        body
        == (
            f'--{mark}\r\ncontent-disposition: form-data; name="a"\r\n\r\nü\r\n'
            f'--{mark}\r\ncontent-disposition: form-data; name="file"; filename="q%22ü.wav"\r\n'
            f"content-type: audio/mpeg\r\n\r\nx\r\n--{mark}--\r\n"
        ).encode()
    )


@pytest.mark.parametrize("mark", ["\r", "\n", "\0"])
def test_a_line_break_in_a_head_is_refused(mark: str) -> None:
    with pytest.raises(ConfigError, match="filename="):
        encode_form([], sound(filename=f"a{mark}b"))
    with pytest.raises(ConfigError, match="media_type="):
        encode_form([], sound(media_type=f"a/b{mark}c"))
    with pytest.raises(ConfigError, match="form field"):
        encode_form([(f"a{mark}b", "c")])


def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(ConfigError, match="no Unicode"):
        encode_form([("prompt", "\ud800")])


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes_come_back_as_they_were(contents: list[bytes]) -> None:
    body, kind = encode_form([("model", "m")], *map(sound, contents))

    mark = kind.partition("boundary=")[2].encode()
    pieces = body.split(b"--" + mark)[2:-1]
    assert [piece.partition(b"\r\n\r\n")[2][:-2] for piece in pieces] == contents
