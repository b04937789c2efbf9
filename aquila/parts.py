"""Pictures, documents and sound in a prompt: `image`, `file`, `audio`.

Each gives a content part, a dict in the shape of Chat Completions (or of Responses, for what only that API has); the
endpoints translate. A path is read at once, so that a missing file is told where it is named.
"""

from __future__ import annotations

import mimetypes
from base64 import b64encode
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeAlias

from aquila.errors import ConfigError

#: A URL (`https://`, `data:`), a path, or the bytes themselves.
Source: TypeAlias = str | PathLike[str] | bytes

_URLS = ("http://", "https://", "data:")
#: Enough of each format to know it by its first bytes.
_MAGIC = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"),
)
_AUDIO_FORMATS = {"audio/mpeg": "mp3", "audio/x-wav": "wav", "audio/wav": "wav", "audio/vnd.wave": "wav"}


def image(
    source: Source | None = None,
    *,
    file_id: str | None = None,
    media_type: str | None = None,
    detail: Literal["auto", "low", "high", "original"] | None = None,
) -> dict[str, Any]:
    """Make a picture's part.

    Args:
        source: A URL, a path or bytes; None with `file_id`.
        file_id: A file uploaded before; Responses API only.
        media_type: `image/png` and the like; None finds it out.
        detail: How closely the model looks; None leaves it to the provider.

    Raises:
        ConfigError: There is no source, or it cannot be read.
    """
    shown = {"detail": detail} if detail else {}
    if file_id:
        return {"type": "input_image", "file_id": file_id, **shown}
    return {
        "type": "image_url",
        "image_url": {"url": _url("image", source, media_type, "image/png"), **shown},
    }


def file(
    source: Source | None = None,
    *,
    file_id: str | None = None,
    filename: str | None = None,
    media_type: str | None = None,
) -> dict[str, Any]:
    """Make a document's part.

    Args:
        source: A URL (Responses API only, unless it is a `data:` URL), a path or bytes; None with `file_id`.
        file_id: A file uploaded before.
        filename: The name the model is told; None takes the path's, else one that fits the type.
        media_type: `application/pdf` and the like; None finds it out.

    Raises:
        ConfigError: There is no source, or it cannot be read.
    """
    if file_id:
        return {"type": "file", "file": {"file_id": file_id}}
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        return {"type": "input_file", "file_url": source}
    url = _url("file", source, media_type, "application/octet-stream")
    name = filename or _name(source) or f"file{mimetypes.guess_extension(url[5 : url.find(';')]) or '.bin'}"
    return {"type": "file", "file": {"file_data": url, "filename": name}}


def audio(source: Source, *, format: str | None = None) -> dict[str, Any]:  # noqa: A002 - the API's own name
    """Make a sound's part.

    Args:
        source: A path or bytes.
        format: `wav`, `mp3`, ...; None finds it out.

    Raises:
        ConfigError: The source is a URL or cannot be read, or its format cannot be told.
    """
    if isinstance(source, str) and source.startswith(_URLS):
        raise ConfigError("audio: the API takes no URL of a sound; give a path or bytes")
    data = _read("audio", source)
    kind = format or _AUDIO_FORMATS.get(_media_type(source, data) or "")
    if kind is None:
        raise ConfigError("audio: the format cannot be told from the source; say format='wav' or 'mp3'")
    return {"type": "input_audio", "input_audio": {"data": b64encode(data).decode(), "format": kind}}


def _url(name: str, source: Source | None, media_type: str | None, default: str) -> str:
    if source is None:
        raise ConfigError(f"{name}: give a URL, a path, bytes or file_id=")
    if isinstance(source, str) and source.startswith(_URLS):
        return source
    data = _read(name, source)
    kind = media_type or _media_type(source, data) or default
    return f"data:{kind};base64,{b64encode(data).decode()}"


def _read(name: str, source: Source) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if not isinstance(source, str | PathLike):
        raise ConfigError(f"{name}: {type(source).__name__} is no source; give a URL, a path or bytes")
    try:
        return Path(source).read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"{name}: {str(source)[:200]!r} cannot be read ({why})") from error


def _media_type(source: Source, data: bytes) -> str | None:
    if data.startswith(b"RIFF"):
        return {b"WAVE": "audio/wav", b"WEBP": "image/webp"}.get(data[8:12])
    found = next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)
    name = _name(source)
    return found or (mimetypes.guess_type(name)[0] if name else None)


def _name(source: Source | None) -> str | None:
    if isinstance(source, str) and source.startswith("data:"):
        return None
    return Path(source).name if isinstance(source, str | PathLike) else None
