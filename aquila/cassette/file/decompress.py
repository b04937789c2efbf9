"""Bodies that another recorder kept as they came over the wire: decompressed, and never to more than fits."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

#: A body of more bytes than this, decompressed, is a trap or belongs into no cassette.
LARGEST = 256 * 1024 * 1024

_Decoder = Callable[[bytes], bytes]
#: What fits into one step where a decoder cannot be told how much to give.
_STEP = 64


class DecompressError(Exception):
    """A body cannot be decompressed; says why, in words that follow the name of the field."""

    def __init__(self, problem: str, remedy: str | None = None) -> None:
        super().__init__(problem)
        #: What helps; None if only another file does.
        self.remedy = remedy


def decompress(body: bytes, encoding: str) -> bytes:
    """Undo a `content-encoding`, which may name several, the last one first.

    Raises:
        DecompressError: The body is not what the encoding says, is too large, or has no decoder installed.
    """
    for name in reversed([part.strip().lower() for part in encoding.split(",")]):
        if name in {"", "identity"}:
            continue
        decoder = _DECODERS.get(name)
        if decoder is None:
            raise DecompressError(f"is encoded as {name[:40]!r}, which nothing here decodes")
        body = _decoded(decoder, body, name)
    return body


def _decoded(decoder: _Decoder, body: bytes, name: str) -> bytes:
    try:
        plain = decoder(body)
    except DecompressError:
        raise
    except Exception as error:  # Each library has an error class of its own.
        raise DecompressError(f"is not valid {name}") from error
    if len(plain) > LARGEST:
        raise DecompressError(f"decompresses to more than {LARGEST // 1024**2} MiB")
    return plain


def _zlib(body: bytes, wbits: int) -> bytes:
    plain = b""
    while body and len(plain) <= LARGEST:
        decoder = zlib.decompressobj(wbits)
        plain += decoder.decompress(body, LARGEST + 1 - len(plain))
        if not decoder.eof and not decoder.unconsumed_tail:
            raise DecompressError("is compressed and cut off")
        body = decoder.unused_data
    return plain


def _gzip(body: bytes) -> bytes:
    return _zlib(body, zlib.MAX_WBITS | 16)


def _deflate(body: bytes) -> bytes:
    try:
        return _zlib(body, zlib.MAX_WBITS | 32)
    except zlib.error:
        # Some servers leave out the zlib header, against the specification.
        return _zlib(body, -zlib.MAX_WBITS)


def _brotli(body: bytes) -> bytes:
    decoder = _first(("brotli", "brotlicffi"), "br", "brotli").Decompressor()
    process: Callable[[bytes], bytes] = getattr(decoder, "process", None) or decoder.decompress
    plain = bytearray()
    for start in range(0, len(body), _STEP):
        plain += process(body[start : start + _STEP])
        if len(plain) > LARGEST:
            return bytes(plain)
    if not decoder.is_finished():
        raise DecompressError("is compressed and cut off")
    return bytes(plain)


def _zstd(body: bytes) -> bytes:
    module = _first(("compression.zstd", "backports.zstd", "zstandard"), "zstd", "zstandard")
    plain, left = bytearray(), memoryview(body)
    while left and len(plain) <= LARGEST:
        decoder = module.ZstdDecompressor()
        # What zstandard makes in a second step is the decoder itself in the standard library.
        decoder = decoder.decompressobj() if hasattr(decoder, "decompressobj") else decoder
        while left and not decoder.eof and len(plain) <= LARGEST:
            plain += decoder.decompress(bytes(left[:_STEP]))
            left = left[_STEP:]
        if len(plain) <= LARGEST and not decoder.eof:
            raise DecompressError("is compressed and cut off")
        left = memoryview(decoder.unused_data + bytes(left))
    return bytes(plain)


def _first(modules: tuple[str, ...], encoding: str, package: str) -> Any:
    for name in modules:
        try:
            return import_module(name)
        except ImportError:
            continue
    raise DecompressError(f"is encoded as {encoding}, which needs a decoder", f"pip install {package}")


_DECODERS: dict[str, _Decoder] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
