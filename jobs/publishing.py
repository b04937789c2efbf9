"""How messages get onto Dramatiq's queues: many in one call, each once however often it is handed over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dramatiq

from jobs.rows import Job

#: Messages in one call; it keeps Redis from other work for about a millisecond.
IN_ONE_CALL = 250

#: Keys: the namespace of the queues. Arguments: queue, id and body of each message. A queue of Dramatiq's is a list of ids
#: beside a hash of bodies; a body stays there until its message is settled.
ENQUEUE = """
local added = 0
for i = 1, #ARGV, 3 do
  local queue = KEYS[1] .. ':' .. ARGV[i]
  if redis.call('HSETNX', queue .. '.msgs', ARGV[i + 1], ARGV[i + 2]) == 1 then
    redis.call('RPUSH', queue, ARGV[i + 1])
    added = added + 1
  end
end
return added
"""


@dataclass(frozen=True, slots=True)
class Announcement:
    """An attempt that is to be made: what a message carries. The row holds everything else."""

    job_id: str
    epoch: int
    actor_name: str
    queue_name: str
    priority: int

    @classmethod
    def of(cls, job: Job) -> Announcement:
        """Give the next attempt of a job."""
        return cls(job.job_id, job.epoch + 1, job.actor_name, job.queue_name, job.priority)

    @property
    def redis_id(self) -> str:
        """The message's id in Redis, the same however often it is handed over."""
        return f"{self.job_id}.{self.epoch}"

    @property
    def queue(self) -> str:
        """The queue's part in Redis that it goes to."""
        return queue_of(self.queue_name, self.priority)

    def message(self) -> dramatiq.Message[Any]:
        """Give it as Dramatiq's message."""
        return dramatiq.Message(
            queue_name=self.queue,
            actor_name=self.actor_name,
            args=(self.job_id, self.epoch),
            kwargs={},
            options={"redis_message_id": self.redis_id},
            message_id=self.job_id,
        )


def queue_of(queue_name: str, priority: int) -> str:
    """Give the name in Redis of a queue's part for one priority."""
    return queue_name if priority == 0 else f"{queue_name}.{priority}"


def enqueue_calls(many: Sequence[tuple[Announcement, dramatiq.Message[Any]]]) -> Iterator[Sequence[Any]]:
    """Give the arguments of each call of `ENQUEUE` that is needed.

    Yields:
        Queue, id and body of up to `IN_ONE_CALL` messages.
    """
    for start in range(0, len(many), IN_ONE_CALL):
        part = many[start : start + IN_ONE_CALL]
        yield [value for said, message in part for value in (said.queue, said.redis_id, message.encode())]
