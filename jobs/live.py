"""One Redis Stream for each job: what it says while it runs, for any number of readers. Disposable; the row is not.

Every append names the attempt's epoch. A worker that was paused while its job was given to another is refused, in the
stream as in the row, and nothing follows the event that ends an attempt's stream.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from jobs.rows import Job
from jobs.wire import Wire

#: Seconds a stream is kept since its last event, while its job has not ended.
SAFETY_TTL = 86_400
#: Events that end a job's stream.
TERMINAL = ("done", "failed", "cancelled")
Terminal = Literal["done", "failed", "cancelled"]

#: Answers of `APPEND`.
APPENDED, STALE, LOST = 1, 0, -1

APPEND = """
local epoch = tonumber(ARGV[1])
local known = redis.call('HMGET', KEYS[2], 'e', 'ended')
local current = tonumber(known[1] or '-1')
if current > epoch or (current == epoch and known[2] == '1') then return 0 end
if current < epoch and ARGV[2] == '0' then return -1 end
redis.call('HSET', KEYS[2], 'e', epoch, 'ended', ARGV[3])
for i = 5, #ARGV, 3 do
  redis.call('XADD', KEYS[1], '*', 'k', ARGV[i], 'a', ARGV[i + 1], 'd', ARGV[i + 2])
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 1
"""


@dataclass(slots=True)
class Entry:
    """One event on its way into a stream."""

    type: str
    attempt: int
    data: dict[str, Any]

    def absorb(self, type_: str, data: dict[str, Any]) -> bool:
        """Take a further fragment of the same kind into this entry; False if it is something else."""
        if type_ != self.type or type_ not in {"chunk", "reasoning_chunk"}:
            return False
        self.data = {"text": self.data["text"] + data["text"]}
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
    """Give the arguments of an `EVAL` that appends `entries`.

    Args:
        job_id: The job.
        epoch: The attempt that writes.
        entries: What it writes.
        opens: Whether the attempt takes the stream over from earlier ones.
        ends: Whether nothing may follow at this epoch.
        ttl: Seconds the stream is kept from now on.
    """
    args: list[Any] = [APPEND, 2, stream_key(job_id), f"aq:{{{job_id}}}:fence", epoch, int(opens), int(ends)]
    args.append(max(1, int(ttl)))
    for entry in entries:
        args += [entry.type, entry.attempt, json.dumps(entry.data, default=str)]
    return args


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
        return bool(wire.client.eval(*args) == APPENDED)


def forget_stream(wire: Wire, job: Job) -> None:
    """Drop what an ended job has said, before it runs again.

    Raises:
        BrokerUnavailable: Redis does not answer.
    """
    with wire.translated():
        wire.client.delete(stream_key(job.job_id))
