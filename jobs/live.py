"""One Redis Stream for each job: what it says while it runs, for any number of readers. Disposable; the row is not.

Every append names the attempt's epoch. A worker that was paused while its job was given to another is refused, in the
stream as in the row, and nothing follows the event that ends an attempt's stream.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from jobs.redis_client import Script
from jobs.rows import Job
from jobs.snapshot import MAX_ENTRIES
from jobs.wire import Wire

#: Seconds a stream is kept since its last event, while its job has not ended.
SAFETY_TTL = 86_400
#: Events that end a job's stream.
TERMINAL = ("done", "failed", "cancelled")
Terminal = Literal["done", "failed", "cancelled"]

#: Answers of `APPEND`, and of `APPEND_ALL` for each stream; only that knows `REFUSED`, of a key that is no stream.
APPENDED, STALE, LOST, REFUSED = 1, 0, -1, -2

_APPEND = """
local function append(stream, fence, epoch, opens, ends, ttl, said, first)
  local known = redis.call('HMGET', fence, 'e', 'ended')
  local current = tonumber(known[1] or '-1')
  if current > epoch or (current == epoch and known[2] == '1') then return 0 end
  if current < epoch and opens == 0 then return -1 end
  if current < epoch or ends == 1 then redis.call('HSET', fence, 'e', epoch, 'ended', ends) end
  for i = first, #said, 2 do redis.call('XADD', stream, '*', said[i], said[i + 1]) end
  if ttl > 0 then
    redis.call('EXPIRE', stream, ttl)
    redis.call('EXPIRE', fence, ttl)
  end
  return 1
end
"""
#: KEYS: the stream, its fence. ARGV: epoch, opens, ends, seconds to keep it, then kind and `ATTEMPT JSON` of each event.
APPEND = Script(
    _APPEND
    + """
local n = {}
for i = 1, 4 do n[i] = tonumber(ARGV[i]) end
return append(KEYS[1], KEYS[2], n[1], n[2], n[3], n[4], ARGV, 5)
"""
)
#: The same for many streams, because sending a command costs more than running it. KEYS: a stream and its fence, for each.
#: ARGV: a list in MessagePack of what `APPEND` gets, for each.
APPEND_ALL = Script(
    _APPEND
    + """
local answers = {}
for n, one in ipairs(cmsgpack.unpack(ARGV[1])) do
  local ran, answer =
    pcall(append, KEYS[2 * n - 1], KEYS[2 * n], one[1], one[2], one[3], one[4], one[5], 1)
  answers[n] = ran and answer or -2
end
return answers
"""
)
#: KEYS: the stream, its fence. ARGV: the last epoch whose words are to be dropped.
FORGET = Script(
    """
local epoch = tonumber(redis.call('HGET', KEYS[2], 'e') or '-1')
if epoch > tonumber(ARGV[1]) then return 0 end
return redis.call('DEL', KEYS[1])
"""
)
#: Events that carry a piece of something longer: pieces of one thing that wait together become one.
FRAGMENTS = frozenset({"chunk", "reasoning_chunk", "tool_call_chunk"})
#: Events that tell all there is so far, so that a newer one makes an older one useless.
TOTALS = frozenset({"partial", "usage_update"})

logger = logging.getLogger("jobs")

#: What an event is a piece of: its kind, its run, and the call whose arguments it brings.
Source: TypeAlias = tuple[str, str | None, str | None]

_json = json.JSONEncoder(default=str).encode


class Entry:
    """One event on its way into a stream."""

    __slots__ = ("attempt", "data", "source", "type")

    def __init__(self, type_: str, attempt: int, data: dict[str, Any]) -> None:
        self.type = type_
        self.attempt = attempt
        self.data = data
        self.source: Source = (type_, data.get("run"), data.get("call_id"))

    def said(self) -> str:
        """Give it as the stream has it, behind its kind."""
        try:
            return f"{self.attempt} {_json(self.data)}"
        except (TypeError, ValueError, RecursionError) as error:
            # An event of a host's own, with keys that are no text for example. It must not silence the others.
            logger.warning("an event of kind %s is told without its data: %s", self.type, error)
            return f"{self.attempt} {_json({'unsayable': str(error)})}"


class Fragments:
    """Pieces of one thing that wait together, which become one event. There is one for each few tokens."""

    __slots__ = ("attempt", "source", "texts")

    def __init__(self, source: Source, attempt: int, texts: list[str]) -> None:
        self.source = source
        self.attempt = attempt
        #: To be added to.
        self.texts = texts

    @property
    def type(self) -> str:
        """Their kind."""
        return self.source[0]

    def said(self) -> str:
        """Give them as the stream has them, behind their kind; the text comes last, see `jobs.snapshot`."""
        _, run, call_id = self.source
        named = "" if run is None else f'"run": {_json(run)}, '
        if call_id is not None:
            named += f'"call_id": {_json(call_id)}, '
        return f'{self.attempt} {{{named}"text": {_json("".join(self.texts))}}}'


class Append(NamedTuple):
    """What one attempt adds to its stream."""

    job_id: str
    epoch: int
    said: Sequence[Entry | Fragments]
    #: Whether the attempt takes the stream over from earlier ones.
    opens: bool = False
    #: Whether nothing may follow at this epoch.
    ends: bool = False
    #: Seconds the stream is kept from now on; 0 leaves it as it was.
    ttl: int = SAFETY_TTL


def append_args(
    job_id: str,
    epoch: int,
    entries: Iterable[Entry | Fragments],
    *,
    opens: bool = False,
    ends: bool = False,
    ttl: float = SAFETY_TTL,
) -> list[Any]:
    """Give the number of keys, the keys and the arguments with which `APPEND` appends `entries`.

    Args:
        job_id: The job.
        epoch: The attempt that writes.
        entries: What it writes.
        opens: Whether the attempt takes the stream over from earlier ones.
        ends: Whether nothing may follow at this epoch.
        ttl: Seconds the stream is kept from now on.
    """
    keys = [stream_key(job_id), fence_key(job_id)]
    return [2, *keys, epoch, int(opens), int(ends), max(1, int(ttl)), *_flat(entries)]


def append_all_args(appends: Iterable[Append]) -> list[Any]:
    """Give the number of keys, the keys and the argument with which `APPEND_ALL` does what each of `appends` says."""
    keys: list[str] = []
    each = []
    for job_id, epoch, entries, opens, ends, ttl in appends:
        keys += (stream_key(job_id), fence_key(job_id))
        each.append((epoch, int(opens), int(ends), ttl, _flat(entries)))
    return [len(keys), *keys, msgspec.msgpack.encode(each)]


def _flat(entries: Iterable[Entry | Fragments]) -> list[str]:
    return [word for entry in entries for word in (entry.source[0], entry.said())]


def compact_args(job_id: str, epoch: int) -> list[Any]:
    """Give the arguments with which `COMPACT` joins the fragments of a stream that `epoch` has ended."""
    return [3, stream_key(job_id), fence_key(job_id), f"aq:{{{job_id}}}:new", epoch, MAX_ENTRIES]


def stream_key(job_id: str) -> str:
    """Give the key of a job's stream."""
    return f"aq:{{{job_id}}}:ev"


def end_stream(wire: Wire, job: Job, terminal: Terminal, *, ttl: float, **data: Any) -> bool:
    """End the stream of a job that no worker runs; False if it has ended already.

    Raises:
        BrokerUnavailable: Redis does not answer.
    """
    entry = Entry(terminal, job.attempt, data)
    args = append_args(job.job_id, job.epoch, [entry], opens=True, ends=True, ttl=ttl)
    with wire.translated():
        return bool(APPEND.run(wire.client, args) == APPENDED)


def forget_stream(wire: Wire, job: Job) -> None:
    """Drop what a job has said that is to run again, unless its next attempt has begun to speak.

    Raises:
        BrokerUnavailable: Redis does not answer.
    """
    with wire.translated():
        FORGET.run(wire.client, [2, stream_key(job.job_id), fence_key(job.job_id), job.epoch])


def fence_key(job_id: str) -> str:
    """Give the key of what is known of a stream: the epoch that writes it, and whether it has `ended`."""
    return f"aq:{{{job_id}}}:fence"
