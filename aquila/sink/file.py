"""`file`: the answer goes to a file while it comes."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal

from anyio import to_thread

from aquila.errors import ConfigError
from aquila.events import Chunk, Event, Started


class FileSink:
    """Writes to a file; made by `file`.

    Each write is one hop to a worker thread that the run waits for: the event loop never waits for a disk, nothing piles
    up in memory, and no task lives on behind the run. A hop costs about as much as decoding a few chunks.
    """

    def __init__(self, path: Path, *, lines: bool, append: bool, strict: bool) -> None:
        self._path = path
        self._lines = lines
        self._append = append
        self._file: BinaryIO | None = None
        # A cancelled run leaves its last write behind in a thread; the next one waits for it.
        self._turn = threading.Lock()
        self._broken = False
        #: True: a file that cannot be written ends the run.
        self.strict = strict

    async def emit(self, event: Event) -> None:
        """Write one event, if it is one to write. Behind a failure nothing is written until the next run begins.

        Raises:
            ConfigError: The file cannot be opened or written.
        """
        if isinstance(event, Started):
            self._broken = False
        data = _line(event) if self._lines else _text(event)
        if data is None or self._broken:
            return
        try:
            await to_thread.run_sync(self._write, data, abandon_on_cancel=True)
        except ConfigError:
            self._broken = True
            raise

    async def aclose(self) -> None:
        """Close the file; a later event opens it again and is put behind what is there."""
        if self._file is not None or self._turn.locked():
            await to_thread.run_sync(self._close, abandon_on_cancel=True)

    def _write(self, data: bytes) -> None:
        with self._turn:
            try:
                file = self._file = self._file or self._path.open("ab" if self._append else "wb")
                self._append = True
                file.write(data)
                file.flush()
            except OSError as error:
                self._give_up()
                raise ConfigError(
                    f"cannot write {self._path}: {error.strerror or error}; {self._remedy(error)}"
                ) from error

    def _close(self) -> None:
        with self._turn:
            file, self._file = self._file, None
            if file is not None:
                file.close()

    def _give_up(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            # What cannot be written cannot be flushed either.
            with suppress(OSError):
                file.close()

    def _remedy(self, error: OSError) -> str:
        match error:
            case FileNotFoundError() | NotADirectoryError():
                return f"make the folder {self._path.parent} first, or name another path"
            case IsADirectoryError():
                return "it is a folder; name a file in it"
            case PermissionError():
                return "name a path that this user may write to"
        return "make room on the disk, or name another path"


def _text(event: Event) -> bytes | None:
    match event:
        case Started():
            return b""
        case Chunk(text=text):
            # A lone surrogate is no UTF-8; losing the rest of the answer to it would be worse.
            return text.encode("utf-8", "backslashreplace")
    return None


def _line(event: Event) -> bytes:
    line = json.dumps(event.to_dict(), ensure_ascii=False, separators=(",", ":"), default=_plain)
    return line.encode("utf-8", "backslashreplace") + b"\n"


def _plain(value: object) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def file(
    path: str | os.PathLike[str],
    *,
    format: Literal["text", "jsonl"] = "text",  # noqa: A002 - what every such option is called
    append: bool = False,
    strict: bool = False,
) -> FileSink:
    """Make a sink that writes to a file, flushed with each event. Its folder must be there.

    Args:
        path: The file. It is made, or emptied, when the run begins.
        format: `text`: the answer's text and nothing else. `jsonl`: each event as one line of JSON, as `to_dict` gives
            it. Both in UTF-8.
        append: True: what is in the file stays, and the new comes behind it. Several runs of one sink follow each other
            in any case.
        strict: False: trouble with the file is logged once and the run goes on. True: it ends the run.

    Raises:
        ConfigError: An unknown format, or something that is no path.
    """
    if not isinstance(path, str | os.PathLike):
        raise ConfigError(f"file: path={path!r} must be a path")
    if format not in {"text", "jsonl"}:
        raise ConfigError(f"format={format!r} must be 'text' or 'jsonl'")
    return FileSink(Path(path), lines=format == "jsonl", append=append, strict=strict)
