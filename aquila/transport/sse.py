"""Server-sent events from raw bytes, without I/O.

Follows the event stream format of the WHATWG HTML standard, section 9.2, on bytes: lines end in LF, CR or CRLF and
nothing else, so U+2028 inside JSON is text. Two things go beyond the standard, because providers need them: an event
whose last blank line is missing is delivered by `flush`, and llama.cpp's `error:` field gives an event named `error`.
"""

from __future__ import annotations

from typing import TypeAlias

from aquila.errors import ProtocolError

_BOM = b"\xef\xbb\xbf"
#: A partial image in one event takes several MiB, so the bound is far above that.
MAX_EVENT_BYTES = 64 * 1024 * 1024


#: One event: its name (empty when the server gave none) and its data. A plain tuple, as there is one for each chunk.
ServerSentEvent: TypeAlias = tuple[str, bytes]


class SSEDecoder:
    """Turns reads of any size into events; what is incomplete waits for the next read.

    Args:
        max_event_bytes: An event larger than this is a ProtocolError, so that a server cannot fill the memory.
    """

    __slots__ = ("_max", "_skip_lf", "_start", "_tail")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._tail = bytearray()
        self._skip_lf = False
        self._start: bytes | None = b""

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take the bytes of one read and give the events they complete.

        Raises:
            ProtocolError: An event is larger than `max_event_bytes`.
        """
        if self._start is not None:
            data = self._strip_bom(data)
        if data and (self._skip_lf or b"\r" in data):
            data = self._unify_line_ends(data)
        tail = self._tail
        if tail:
            searched = len(tail) - 1
            tail += data
            cut = tail.rfind(b"\n\n", searched)
            if cut < 0:
                return self._wait()
            complete = bytes(tail[:cut])
            del tail[: cut + 2]
        else:
            cut = data.rfind(b"\n\n")
            if cut < 0:
                tail += data
                return self._wait()
            complete = data[:cut]
            tail += data[cut + 2 :]
        return _events(complete)

    def flush(self) -> list[ServerSentEvent]:
        """Give the last event when its blank line never came."""
        block = (self._start or b"") + bytes(self._tail)
        self._tail.clear()
        self._start = None
        event = _parse(block)
        return [] if event is None else [event]

    def _wait(self) -> list[ServerSentEvent]:
        if len(self._tail) > self._max:
            raise ProtocolError(
                f"an event of the stream is larger than {self._max:,} bytes and has no end; "
                "the server does not speak server-sent events"
            )
        return []

    def _strip_bom(self, data: bytes) -> bytes:
        if self._start is None:
            return data
        head = self._start + data
        if len(head) < len(_BOM) and _BOM.startswith(head):
            self._start = head
            return b""
        self._start = None
        return head.removeprefix(_BOM)

    def _unify_line_ends(self, data: bytes) -> bytes:
        # A CR at the end of a read ends its line at once; the LF that may open the next read belongs to it.
        if self._skip_lf:
            data = data.removeprefix(b"\n")
        self._skip_lf = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _events(complete: bytes) -> list[ServerSentEvent]:
    events: list[ServerSentEvent] = []
    for block in complete.split(b"\n\n"):
        # What nearly every event is stays free of calls.
        if block[:6] == b"data: " and b"\n" not in block:
            events.append(("", block[6:]))
        elif (event := _parse(block)) is not None:
            events.append(event)
    return events


def _parse(block: bytes) -> ServerSentEvent | None:
    name = ""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"error":
            name = "error"
            data.append(value)
    return (name, b"\n".join(data)) if data else None
