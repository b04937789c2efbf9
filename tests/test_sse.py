from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aquila.errors import ProtocolError
from aquila.transport.sse import ServerSentEvent, SSEDecoder

STREAM = (
    b"\xef\xbb\xbf: welcome\r\n\r\nretry: 3000\r\n\r\nevent: greeting\r\nid: 7\r\ndata: Gr\xc3\xbc\xc3\x9fe\r\n\r\n"
    b'data: {"a":\ndata:  1}\n\ndata\n\nerror: {"code":500}\n\n\n\ndata: line\xe2\x80\xa8separator\xc2\x85\r\rdata:last'
)
EVENTS = [
    ("greeting", "Grüße".encode()),
    ("", b'{"a":\n 1}'),
    ("", b""),
    ("error", b'{"code":500}'),
    ("", "line\u2028separator\u0085".encode()),
    ("", b"last"),
]


def decode(*reads: bytes) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    return [event for read in reads for event in decoder.feed(read)] + decoder.flush()


def test_every_field_comment_and_line_end_is_read() -> None:
    assert decode(STREAM) == EVENTS


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_a_cut_at_any_byte_changes_nothing(cut: int) -> None:
    assert decode(STREAM[:cut], STREAM[cut:]) == EVENTS


def test_one_byte_a_read_changes_nothing() -> None:
    assert decode(*(STREAM[i : i + 1] for i in range(len(STREAM)))) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_any_chunking_changes_nothing(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]

    assert decode(*(STREAM[a:b] for a, b in itertools.pairwise(edges))) == EVENTS


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
def test_an_event_is_given_with_the_read_that_ends_it(end: bytes) -> None:
    decoder = SSEDecoder()

    assert decoder.feed(b"data: 1" + end + end) == [("", b"1")]
    assert decoder.feed(b"data: 2" + end + end) == [("", b"2")]


def test_a_byte_order_mark_is_ignored_at_the_start_only() -> None:
    assert decode(b"data: \xef\xbb\xbf\n\n") == [("", b"\xef\xbb\xbf")]


def test_an_event_without_end_is_refused_before_it_fills_the_memory() -> None:
    decoder = SSEDecoder(max_event_bytes=100)

    with pytest.raises(ProtocolError, match="larger than 100 bytes"):
        for _ in range(30):
            decoder.feed(b"data: ....")


def test_an_empty_read_between_the_halves_of_a_line_end_changes_nothing() -> None:
    assert decode(b"event: a\r", b"", b"\ndata: 1\r\n\r\n") == [("a", b"1")]
