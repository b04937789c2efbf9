"""Load: from a file of 5 MB, one answer of 30,000 chunks, to the first byte of the answer.

The right one of two ways to write when 30,000 chunks came: as one text. `PyYAML` parses the same file and does nothing
with it, and `pairs` one with a list of pairs in the text's place.
"""
# ruff: noqa: PLC0415 - as in `clients.py`: a process measures one client and must not pay for the others

from __future__ import annotations

import gc
import re
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cassette_file import cassette, request
from benchmarks.scenario import Scenario, Target
from benchmarks.tally import BrokenClientError

_CHUNKS = 30_000


async def measure(client: str, _url: str) -> dict[str, float]:
    """Load the file once; the server is not asked.

    Raises:
        BrokenClientError: Nothing was loaded.
    """
    data = cassette(1, _CHUNKS)
    if client == "pairs":
        data = re.sub(rb"chunks: (.*)", _as_pairs, data)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cassette.yaml"
        path.write_bytes(data)
        gc.collect()
        began = time.process_time()
        size = await _aquila(path) if client == "aquila" else _OTHERS[client](path)
        spent = time.process_time() - began
    if not size:
        raise BrokenClientError("nothing was loaded")
    return {"CPU": spent * 1e3}


def _as_pairs(text: re.Match[bytes]) -> bytes:
    return b"chunks: [" + b", ".join(b"[%b]" % pair.replace(b":", b", ") for pair in text[1].split()) + b"]"


async def _aquila(path: Path) -> int:
    from aquila.cassette import ReplayTransport

    response = await ReplayTransport(path).send(request(0))
    size = len(await anext(response.chunks))
    await response.aclose()
    return size


def _vcrpy(path: Path) -> int:
    from vcr.persisters.filesystem import FilesystemPersister
    from vcr.serializers import yamlserializer

    return len(FilesystemPersister.load_cassette(str(path), yamlserializer)[0])


def _yaml(path: Path) -> int:
    import yaml

    return len(yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)["interactions"])


_OTHERS: dict[str, Callable[[Path], int]] = {"vcrpy": _vcrpy, "PyYAML": _yaml, "pairs": _yaml}

SCENARIOS = (
    Scenario(
        title="cassettes: load 5 MB, 30,000 chunks",
        measure=measure,
        clients=("aquila", *_OTHERS),
        columns={"CPU": "ms"},
        targets=(Target(what="CPU", of="aquila", at_most=1000.0),),
        warm_ups=1,
    ),
)
