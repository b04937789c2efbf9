from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from aquila.errors import ConfigError
from aquila.parts import audio, file, image

PNG, PDF, WAV = b"\x89PNG\r\n", b"%PDF-1.7", b"RIFF\x00\x00\x00\x00WAVE"


def data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{b64encode(data).decode()}"


@pytest.mark.parametrize(
    "url", ["https://example.org/a.png", "http://example.org/a", "data:image/gif;base64,AA=="]
)
def test_a_picture_at_a_url_stays_there(url: str) -> None:
    assert image(url, detail="low") == {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image/webp"),
        (b"odd", "image/png"),
    ],
)
def test_a_picture_in_memory_is_known_by_its_first_bytes(data: bytes, kind: str) -> None:
    assert image(data) == {"type": "image_url", "image_url": {"url": data_url(kind, data)}}
    assert image(bytearray(data)) == image(data)  # type: ignore[arg-type]
    assert image(data, media_type="image/x") == {
        "type": "image_url",
        "image_url": {"url": data_url("image/x", data)},
    }


def test_a_picture_on_disk_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    path.write_bytes(b"odd")

    assert image(path) == {"type": "image_url", "image_url": {"url": data_url("image/webp", b"odd")}}
    assert image(str(path)) == image(path)


def test_what_was_uploaded_is_named_by_its_id() -> None:
    assert image(file_id="file_1", detail="high") == {
        "type": "input_image",
        "file_id": "file_1",
        "detail": "high",
    }
    assert file(file_id="file_1") == {"type": "file", "file": {"file_id": "file_1"}}


def test_a_document_keeps_its_name(tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(PDF)
    url = data_url("application/pdf", PDF)

    assert file(path) == {"type": "file", "file": {"file_data": url, "filename": "report.pdf"}}
    assert file(path, filename="x") == {"type": "file", "file": {"file_data": url, "filename": "x"}}
    assert file(PDF) == {"type": "file", "file": {"file_data": url, "filename": "file.pdf"}}
    assert file(url) == file(PDF)


def test_a_document_of_no_known_type_is_a_binary_file() -> None:
    assert file(b"odd")["file"]["filename"] == "file.bin"
    assert file(b"odd")["file"]["file_data"] == data_url("application/octet-stream", b"odd")
    assert file(b"a,b", media_type="text/csv")["file"]["filename"] == "file.csv"


def test_a_document_at_a_url_stays_there() -> None:
    assert file("https://example.org/a.pdf") == {
        "type": "input_file",
        "file_url": "https://example.org/a.pdf",
    }


@pytest.mark.parametrize(
    ("data", "kind"), [(WAV, "wav"), (b"ID3\x04", "mp3"), (b"\xff\xfb\x90", "mp3"), (b"\xff\xf3\x90", "mp3")]
)
def test_a_sound_is_known_by_its_first_bytes(data: bytes, kind: str) -> None:
    assert audio(data) == {
        "type": "input_audio",
        "input_audio": {"data": b64encode(data).decode(), "format": kind},
    }
    assert audio(data, format="flac")["input_audio"]["format"] == "flac"


def test_a_sound_is_known_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"odd")

    assert audio(path)["input_audio"]["format"] == "mp3"


@pytest.mark.parametrize(
    ("make", "source", "says"),
    [
        (image, None, "image: give a URL, a path, bytes or file_id="),
        (file, None, "file: give a URL, a path, bytes or file_id="),
        (image, 5, "image: int is no source"),
        (image, "missing.png", "image: 'missing.png' cannot be read"),
        (image, "nul\x00", "cannot be read"),
        (file, Path("missing.pdf"), "file: 'missing.pdf' cannot be read"),
        (audio, "https://example.org/a.mp3", "audio: the API takes no URL of a sound"),
        (audio, b"odd", "audio: the format cannot be told from the source"),
        (audio, "missing.mp3", "audio: 'missing.mp3' cannot be read"),
        (audio, None, "audio: NoneType is no source"),
    ],
)
def test_what_is_no_source_is_named(make: Any, source: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make(source)
