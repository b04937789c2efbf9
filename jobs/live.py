"""One Redis Stream for each job: what it says while it runs, for any number of readers. Disposable; the row is not.

Every append names the attempt's epoch. A worker that was paused while its job was given to another is refused, in the
stream as in the row, and nothing follows the event that ends an attempt's stream.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

from jobs.redis_client import Script
from jobs.rows import Job
from jobs.snapshot import MAX_ENTRIES
from jobs.wire import Wire

#: Seconds a stream is kept since its last event, while its job has not ended.
SAFETY_TTL = 86_400
#: Events that end a job's stream.
TERMINAL = ("done", "failed", "cancelled")
Terminal = Literal["done", "failed", "cancelled"]

#: Answers of `APPEND`.
APPENDED, STALE, LOST = 1, 0, -1

#: KEYS: the stream, its fence. ARGV: epoch, opens, ends, seconds to keep it, then kind and `ATTEMPT JSON` of each event.
APPEND = Script(
    """
local epoch = tonumber(ARGV[1])
local known = redis.call('HMGET', KEYS[2], 'e', 'ended')
local current = tonumber(known[1] or '-1')
if current > epoch or (current == epoch and known[2] == '1') then return 0 end
if current < epoch and ARGV[2] == '0' then return -1 end
redis.call('HSET', KEYS[2], 'e', epoch, 'ended', ARGV[3])
for i = 5, #ARGV, 2 do redis.call('XADD', KEYS[1], '*', ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 1
"""
)
#: Events that carry a piece of something longer: pieces of one thing that wait together become one.
FRAGMENTS = frozenset({"chunk", "reasoning_chunk", "tool_call_chunk"})
#: Events that tell all there is so far, so that a newer one makes an older one useless.
TOTALS = frozenset({"partial", "usage_update"})


class Entry:
    """One event on its way into a stream. The text of a fragment is the last thing in `data`."""

    __slots__ = ("attempt", "data", "source", "type")

    def __init__(self, type_: str, attempt: int, data: dict[str, Any]) -> None:
        self.type = type_
        self.attempt = attempt
        self.data = data
        #: What the event is a piece of: its kind, its run, and the call whose arguments it brings.
        self.source = (type_, data.get("run"), data.get("call_id"))

    def absorb(self, later: Entry) -> bool:
        """Take a further fragment of the same thing into this entry; False if it is something else."""
        if self.type not in FRAGMENTS or later.source != self.source:
            return False
        self.data = {**self.data, "text": self.data["text"] + later.data["text"]}
        return True


def append_args(
    job_id: str,
    epoch: int,
    entries: Iterable[Entry],
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
    args: list[Any] = [
        2,
        stream_key(job_id),
        fence_key(job_id),
        epoch,
        int(opens),
        int(ends),
        max(1, int(ttl)),
    ]
    for entry in entries:
        args += [entry.type, f"{entry.attempt} {json.dumps(entry.data, default=str)}"]
    return args


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
    """Drop what an ended job has said, before it runs again.

    Raises:
        BrokerUnavailable: Redis does not answer.
    """
    with wire.translated():
        wire.client.delete(stream_key(job.job_id))


def fence_key(job_id: str) -> str:
    """Give the key of what is known of a stream: the epoch that writes it, and whether it has `ended`."""
    return f"aq:{{{job_id}}}:fence"
