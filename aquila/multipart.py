"""`multipart/form-data`, the form in which files are sent. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from aquila.errors import ConfigError

#: What no header line can hold: it would end the line, or the header.
_BREAKS = ("\r", "\n", "\0")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """A file among the fields of a form."""

    name: str
    filename: str
    media_type: str
    data: bytes = field(repr=False)


def encode_form(fields: Iterable[tuple[str, str]], *files: FilePart) -> tuple[bytes, str]:
    """Write a form, and give its body and its content type.

    Equal forms make equal bytes, so that a recorded request fits again: the mark between the parts is a digest of what
    stands there, which therefore cannot contain it.

    Args:
        fields: Names and values in order; a name may come several times.
        files: What follows them.

    Raises:
        ConfigError: A name holds a line break, or a text is no Unicode.
    """
    parts = [_part(_named(name), _bytes(name, value)) for name, value in fields]
    for file in files:
        head = f'{_named(file.name)}; filename="{_quoted("filename", file.filename)}"'
        kind = _checked("media_type", file.media_type)
        parts.append(_part(f"{head}\r\ncontent-type: {kind}", file.data))
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    mark = f"aquila-{digest.hexdigest()}"
    line = b"--" + mark.encode()
    body = b"".join(line + b"\r\n" + part + b"\r\n" for part in parts)
    return body + line + b"--\r\n", f"multipart/form-data; boundary={mark}"


def _named(name: str) -> str:
    return f'content-disposition: form-data; name="{_quoted("the name of a form field", name)}"'


def _part(head: str, data: bytes) -> bytes:
    return _bytes("a part's head", head) + b"\r\n\r\n" + data


def _quoted(what: str, value: str) -> str:
    # Forms escape in this way and in no other; a backslash stands for itself.
    return _checked(what, value).replace('"', "%22")


def _checked(what: str, value: str) -> str:
    if any(mark in value for mark in _BREAKS):
        raise ConfigError(f"{what}={value!r} holds a line break, which no form can carry; take it out")
    return value


def _bytes(what: str, value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{what}: {value[:100]!r} is no Unicode text ({error.reason})") from None
