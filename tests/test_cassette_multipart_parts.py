from __future__ import annotations

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aquila.cassette.body.multipart_parts import Part, parse_parts
from aquila.multipart import FilePart, encode_form

TYPE = "multipart/form-data; boundary=XX"


def test_a_form_is_cut_into_its_fields_and_files() -> None:
    file = FilePart(name="file", filename="a b.wav", media_type="audio/wav", data=b"\r\n--\x00\xff\r\n")

    body, content_type = encode_form([("model", "whisper-1"), ("language", "")], file)

    assert parse_parts(body, content_type) == (
        Part("model", None, "", b"whisper-1"),
        Part("language", None, "", b""),
        Part("file", "a b.wav", "audio/wav", b"\r\n--\x00\xff\r\n"),
    )


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b[]"]), st.binary(max_size=20)), min_size=1, max_size=4))
def test_what_httpx_writes_is_read(fields: list[tuple[str, bytes]]) -> None:
    files = [(name, ("ü.bin", data, "application/octet-stream")) for name, data in fields]
    sent = httpx.Request("POST", "https://e.test/", files=files)

    found = parse_parts(sent.read(), sent.headers["content-type"])

    assert found == tuple(Part(name, "ü.bin", "application/octet-stream", data) for name, data in fields)


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b'Content-Disposition: form-data; name="a"; filename="x.txt"', Part("a", "x.txt", "", b"v")),
        (b"content-disposition: form-data;name=a;filename=x.txt", Part("a", "x.txt", "", b"v")),
        (b'CONTENT-DISPOSITION: form-data; name="a"\r\nContent-Type: Text/Plain', Part("a", None, "text/plain", b"v")),
        (b'Content-Disposition: form-data; name="a;name=b"', Part("a;name=b", None, "", b"v")),
        (b'Content-Disposition: form-data; name="a"; filename*=UTF-8\'\'na%C3%AFf.txt', Part("a", "naïf.txt", "", b"v")),
        (b'Content-Disposition: form-data; filename="a"; name="n"', Part("n", "a", "", b"v")),
    ],
)  # fmt: skip
def test_heads_are_read_as_clients_write_them(head: bytes, part: Part) -> None:
    body = b"--XX\r\n" + head + b"\r\n\r\nv\r\n--XX--\r\n"

    assert parse_parts(body, TYPE) == (part,)


def test_line_ends_preambles_and_quoted_marks_do_not_matter() -> None:
    body = b'before\n--X Y \nContent-Disposition: form-data; name="a"\n\nv\n--X Y--'

    assert parse_parts(body, 'Multipart/Form-Data; charset=utf-8; Boundary="X Y"') == (
        Part("a", None, "", b"v"),
    )


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"--XX--\r\n", "multipart/mixed; boundary=XX"),
        (b"--XX--\r\n", "multipart/form-data"),
        (b"", TYPE),
        (b"no mark", TYPE),
        (b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\nv\r\n', TYPE),
        (b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\nv\r\n--XX\r\n', TYPE),
        (b"--XX\r\nContent-Disposition: form-data\r\n\r\nv\r\n--XX--", TYPE),
        (b"--XX\r\nno head\r\n--XX--", TYPE),
    ],
)
def test_what_is_no_whole_form_is_none(body: bytes, content_type: str) -> None:
    assert parse_parts(body, content_type) is None


def test_a_form_without_parts_has_none() -> None:
    assert parse_parts(b"--XX--\r\n", TYPE) == ()


def test_a_mark_inside_a_line_is_content() -> None:
    body = b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\nsee --XX\r\n--XXX\r\n--XX--'

    assert parse_parts(body, TYPE) == (Part("a", None, "", b"see --XX\r\n--XXX"),)
