from __future__ import annotations

from aquila.cassette.secrets.delta_text import delta_texts

PIECES = (
    b'data: {"index":0,"delta":"ab"}\n\n'
    b'data: {"index":1,"delta":"XY"}\n\n'
    b'data: {"index":0,"delta":""}\n\n'
    b'data: {"index":0,"delta":"c\\"d"}\r\n\r\n'
    b'data: {"index":1,"delta":"Z"}\n\n'
    b'data: {"index":0,"text":"once"}\n\n'
)


def test_pieces_are_joined_by_field_and_index() -> None:
    texts = delta_texts(PIECES)

    assert [text.joined(PIECES) for text in texts] == [b'abc\\"d', b"XYZ"]
    assert [text.events for text in texts] == [(1, 3, 4), (2, 5)]


def test_a_span_of_the_text_is_told_piece_by_piece() -> None:
    first, second = delta_texts(PIECES)

    assert [PIECES[start:end] for start, end in first.in_body(1, 4)] == [b"b", b"c\\"]
    assert [PIECES[start:end] for start, end in first.in_body(2, 6)] == [b'c\\"d']
    assert [PIECES[start:end] for start, end in second.in_body(0, 3)] == [b"XY", b"Z"]
    assert [first.event_at(position) for position in range(7)] == [1, 1, 4, 4, 4, 4, 4]


def test_documents_of_another_type_or_id_have_other_texts_and_those_inside_them_do_not_count() -> None:
    first = b'{"type":"a","item_id":"1","delta":"x","tool":{"id":"call"}}\n'
    body = first + b'{"type":"b","item_id":"1","delta":"y"}\n{"type":"a","item_id":"2","delta":"z"}\n'
    last = b'{"type":"a","item_id":"1","delta":"w"}\n'

    assert [text.joined(body + last) for text in delta_texts(body + last)] == [b"xw"]
    assert [text.joined(body + last) for text in delta_texts(body + last, also_across=True)] == [
        b"xw",
        b"xyzw",
    ]


def test_a_document_that_is_cut_off_goes_on_with_the_one_before() -> None:
    body = b'{"type":"b","delta":"y"}\n{"type":"a","delta":"x"}\n{"delta":"z","ty'

    assert [text.joined(body) for text in delta_texts(body)] == [b"xz"]


def test_what_is_no_stream_has_no_pieces() -> None:
    assert delta_texts(b'{"delta":"a"}{"delta":"b"}') == []
