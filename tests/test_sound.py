from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aquila.errors import ConfigError
from aquila.sound import read_sound


def test_a_path_gives_its_name_and_its_type(tmp_path: Path) -> None:
    path = tmp_path / "talk.MP3"
    path.write_bytes(b"ID3")

    sound = read_sound(path)

    assert (sound.filename, sound.media_type, sound.data) == ("talk.MP3", "audio/mpeg", b"ID3")
    assert read_sound(str(path), "other.wav").filename == "other.wav"


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (b"ID3\x04", "audio.mp3", "audio/mpeg"),
        (b"\xff\xfb\x90", "audio.mp3", "audio/mpeg"),
        (b"RIFF\x00\x00\x00\x00WAVE", "audio.wav", "audio/wav"),
        (b"fLaC", "audio.flac", "audio/flac"),
        (b"OggS", "audio.ogg", "audio/ogg"),
        (b"\x00\x00\x00\x20ftypM4A ", "audio.m4a", "audio/mp4"),
        (b"\x1aE\xdf\xa3", "audio.webm", "audio/webm"),
        (b"?", "audio.webm", "audio/webm"),
    ],
)
def test_bytes_get_a_name_that_tells_their_format(data: bytes, name: str, kind: str) -> None:
    sound = read_sound(data)

    assert (sound.filename, sound.media_type) == (name, kind)


def test_a_name_without_an_ending_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"OggS")

    assert read_sound(path).filename == "upload.ogg"
    assert read_sound(b"fLaC", "talk").filename == "talk.flac"


def test_an_unknown_ending_is_a_file_like_any_other() -> None:
    assert read_sound(b"x", "talk.zzzz").media_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("https://a.example/b.mp3", "no URL"),
        (b"", "empty"),
        (None, "NoneType is no sound"),
        ("/nowhere/talk.mp3", "cannot be read"),
        ("\0", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_reason(source: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_sound(source)
