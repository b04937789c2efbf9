from __future__ import annotations

import pytest

from aquila.cassette.secrets.stream_parts import document, is_stream, stream_parts


@pytest.mark.parametrize(
    ("body", "documents"),
    [
        (b'data: {"a": 1}\n\nevent: x\ndata: b\n\n', [b' {"a": 1}', b" b"]),
        (b'{"a": 1}\n{"b": 2}\r\n{"c"', [b'{"a": 1}', b'{"b": 2}', b'{"c"']),
        (b'[{"a": [1]}\n,\r\n{"b": "\xc3\xbc]"}]', [b'{"a": [1]}', b'{"b": "\xc3\xbc]"}']),
        (b'[{"a": 1}, {"b": ', [b'{"a": 1}', b'{"b":']),
    ],
)
def test_a_body_is_cut_into_its_documents(body: bytes, documents: list[bytes]) -> None:
    parts = stream_parts(body)

    assert b"".join(parts) == body
    assert [text for part in parts if (text := document(part))] == documents


@pytest.mark.parametrize("body", [b"", b'{"a":\n{}\n}', b'{"delta":"a"}{"delta":"b"}', b"text", b"{"])
def test_one_document_has_no_parts(body: bytes) -> None:
    assert stream_parts(body) == []


def test_a_stream_begins_with_a_field_of_an_event() -> None:
    assert is_stream(b"\xef\xbb\xbf\nevent: x")
    assert not is_stream(b"a data: x")
