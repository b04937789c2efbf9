from __future__ import annotations

import gzip
import sys
import zlib
from types import ModuleType, SimpleNamespace

import pytest

from aquila.cassette.file import decompress as decompress_module
from aquila.cassette.file.decompress import LARGEST, DecompressError, decompress

PLAIN = b"data: word\n\n" * 100
PACKED = gzip.compress(PLAIN, mtime=0)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", PACKED),
        ("X-Gzip", PACKED),
        ("gzip", gzip.compress(PLAIN[:60], mtime=0) + gzip.compress(PLAIN[60:], mtime=0)),
        ("deflate", zlib.compress(PLAIN)),
        ("deflate", zlib.compress(PLAIN)[2:-4]),
        ("identity", PLAIN),
        ("deflate, gzip", gzip.compress(zlib.compress(PLAIN), mtime=0)),
    ],
)
def test_an_encoded_body_becomes_plain(encoding: str, body: bytes) -> None:
    assert decompress(body, encoding) == PLAIN


@pytest.mark.parametrize(
    ("encoding", "body", "problem"),
    [
        ("gzip", PACKED[:-9], "is compressed and cut off"),
        ("gzip", b"plain", "is not valid gzip"),
        ("deflate", b"plain", "is not valid deflate"),
        ("snappy", PLAIN, "is encoded as 'snappy', which nothing here decodes"),
        ("gzip", gzip.compress(bytes(LARGEST + 1), 1, mtime=0), "decompresses to more than 256 MiB"),
    ],
)
def test_a_body_that_is_not_what_its_encoding_says_is_refused(
    encoding: str, body: bytes, problem: str
) -> None:
    with pytest.raises(DecompressError, match=problem):
        decompress(body, encoding)


@pytest.mark.parametrize(
    ("encoding", "modules", "package"),
    [
        ("br", ("brotli", "brotlicffi"), "brotli"),
        ("zstd", ("compression.zstd", "backports.zstd", "zstandard"), "zstandard"),
    ],
)
def test_a_missing_decoder_is_named(
    monkeypatch: pytest.MonkeyPatch, encoding: str, modules: tuple[str, ...], package: str
) -> None:
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(DecompressError, match=f"is encoded as {encoding}, which needs a decoder") as caught:
        decompress(b"x", encoding)

    assert caught.value.remedy == f"pip install {package}"


class Steps:
    """A decoder in the shape of brotli's and of zstd's: the body, and after `size` bytes of it the end."""

    def __init__(self, size: int, times: int = 1) -> None:
        self._left, self._times = size, times
        self.unused_data = b""
        self.eof = False

    def decompress(self, data: bytes) -> bytes:
        taken, self.unused_data = data[: self._left], data[self._left :]
        self._left -= len(taken)
        self.eof = self._left == 0
        return taken * self._times

    process = decompress

    def is_finished(self) -> bool:
        return self.eof


@pytest.fixture
def decoders(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stands for the modules, which are not in every environment."""
    made = SimpleNamespace(size=len(PLAIN), times=1)

    def decoder() -> Steps:
        return Steps(made.size, made.times)

    for name, attribute in (("brotli", "Decompressor"), ("compression.zstd", "ZstdDecompressor")):
        module = ModuleType(name)
        setattr(module, attribute, decoder)
        monkeypatch.setitem(sys.modules, name, module)
    return made


@pytest.mark.parametrize("encoding", ["br", "zstd"])
def test_a_decoder_gets_the_body_step_by_step(decoders: SimpleNamespace, encoding: str) -> None:
    assert decompress(PLAIN, encoding) == PLAIN


@pytest.mark.parametrize("encoding", ["br", "zstd"])
def test_a_decoder_that_has_not_reached_the_end_is_told(decoders: SimpleNamespace, encoding: str) -> None:
    with pytest.raises(DecompressError, match="is compressed and cut off"):
        decompress(PLAIN[:-1], encoding)


@pytest.mark.parametrize("encoding", ["br", "zstd"])
def test_a_body_that_grows_without_end_is_stopped(
    decoders: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr(decompress_module, "LARGEST", 3_000_000)
    decoders.times = 10_000

    with pytest.raises(DecompressError, match="decompresses to more than 2 MiB"):
        decompress(PLAIN, encoding)


def test_several_frames_are_one_body(decoders: SimpleNamespace) -> None:
    decoders.size = 100

    assert decompress(PLAIN, "zstd") == PLAIN
