from __future__ import annotations

from aquila.cassette.story.excerpt import excerpt
from aquila.multipart import FilePart, encode_form


def test_text_is_shown_in_one_line_and_cut() -> None:
    assert excerpt(b"one\n two\x1b[2J", {}) == "one two␛[2J"
    assert len(excerpt(b"x" * 5000, {}, 50)) == 50


def test_a_form_shows_its_fields_and_the_size_of_its_files() -> None:
    sound = FilePart(name="file", filename="sea.wav", media_type="audio/wav", data=b"\x00\xff" * 50)
    body, kind = encode_form([("model", "whisper-1")], sound)

    shown = excerpt(body, {"content-type": kind})

    assert shown == f"form of {len(body):,} bytes: model=whisper-1, file=sea.wav (100 bytes)"


def test_bytes_are_only_counted() -> None:
    assert excerpt(b"\xff\xfe", {"content-type": "audio/mpeg; rate=1"}) == "2 bytes of audio/mpeg"
    assert excerpt(b"\xff\xfe", {}) == "2 bytes"
