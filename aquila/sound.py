"""A sound as it is sent to be transcribed: its bytes, and a name that tells its format."""

from __future__ import annotations

import mimetypes
from os import PathLike
from pathlib import Path
from typing import TypeAlias

from aquila.errors import ConfigError
from aquila.multipart import FilePart

#: A path, or the bytes themselves.
Source: TypeAlias = str | PathLike[str] | bytes

_URLS = ("http://", "https://", "data:")
#: Each format by bytes at a place near its beginning.
_MAGIC = (
    (0, b"ID3", "mp3"),
    (0, b"\xff\xfb", "mp3"),
    (0, b"\xff\xf3", "mp3"),
    (0, b"\xff\xf2", "mp3"),
    (8, b"WAVE", "wav"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (4, b"ftyp", "m4a"),
)
#: What browsers record, and the guess where nothing else is known.
_USUAL = "webm"
#: By ending, where this machine's own table may know nothing, or say that it is a film.
_MEDIA_TYPES = {
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".mp4": "audio/mp4",
    ".mpga": "audio/mpeg",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".wav": "audio/wav",
    ".webm": "audio/webm",
}


def read_sound(source: Source, filename: str | None = None) -> FilePart:
    """Read a sound.

    Args:
        source: A path or bytes.
        filename: The name the provider is told, by whose ending it knows the format; None takes the path's. A name
            without an ending gets one that fits the bytes.

    Raises:
        ConfigError: The source is a URL, is empty or cannot be read.
    """
    data = _read(source)
    if not data:
        raise ConfigError("source: the sound is empty; give a sound file or its bytes")
    name = filename or (Path(source).name if isinstance(source, str | PathLike) else "") or "audio"
    if not Path(name).suffix:
        name = f"{name}.{_format(data)}"
    suffix = Path(name).suffix.lower()
    kind = _MEDIA_TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return FilePart(name="file", filename=name, media_type=kind, data=data)


def _read(source: Source) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if not isinstance(source, str | PathLike):
        raise ConfigError(f"source: {type(source).__name__} is no sound; give a path or bytes")
    if isinstance(source, str) and source.startswith(_URLS):
        raise ConfigError("source: the API takes no URL of a sound; give a path or bytes")
    try:
        return Path(source).read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"source: {str(source)[:200]!r} cannot be read ({why})") from error


def _format(data: bytes) -> str:
    found = (kind for place, magic, kind in _MAGIC if data[place : place + len(magic)] == magic)
    return next(found, _USUAL)
