"""A queue's slots in Redis. What Redis cannot know is asked of the rows before anything is granted.

That is: which jobs run when it was emptied, replaced or restarted, and whether one runs whose slot nobody renewed in time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from jobs.database import Database
from jobs.publishing import queue_of
from jobs.registry import PRIORITIES
from jobs.sqltypes import db_now
from jobs.tables import jobs
from jobs.wire import Wire

#: What a script answers that does not know who runs: first the rows must say.
UNKNOWN = -1
#: How often the rows are asked in one call, should Redis forget again in the meantime.
TRIES = 3

# A queue's slots are one sorted set: each by the time its lease ends, `?...` until it is bound to a job, then by the job's id
# and epoch; and `@` with the id of the server's run, without which the set may have lost some of them.
_KNOWN = """
local info = redis.pcall('INFO', 'server')
local mark = '@' .. (type(info) == 'string' and info:match('run_id:(%x+)') or '')
local known = redis.call('ZSCORE', KEYS[1], mark)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local until_ = now + ARGV[1]
redis.call('PEXPIRE', KEYS[1], 86400000)
"""

# Keys: the set, and the lists of the queue's messages. Arguments: lease, limit, names of slots. Grants as many as are free and
# have a message to fetch; if there are too few, names those whose holders have not renewed them in time.
_ACQUIRE = f"""{_KNOWN}
if not known then return {{{UNKNOWN}}} end
local waiting = 0
for i = 2, #KEYS do waiting = waiting + redis.call('LLEN', KEYS[i]) end
for i = 3, #ARGV do redis.call('ZREM', KEYS[1], ARGV[i]) end
local wanted = math.min(#ARGV - 2, waiting)
local count = math.max(0, math.min(wanted, ARGV[2] - redis.call('ZCARD', KEYS[1]) + 1))
for i = 1, count do redis.call('ZADD', KEYS[1], until_, ARGV[i + 2]) end
if count == wanted then return {{count}} end
return {{count, unpack(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1000))}}
"""

# Arguments: lease, limit, the slot, its job. A slot that was lost meanwhile is taken anew if one is free.
_BIND = f"""{_KNOWN}
if not known then return {UNKNOWN} end
local counted = redis.call('ZREM', KEYS[1], ARGV[3])
redis.call('ZADD', KEYS[1], until_, ARGV[4])
if counted == 1 or redis.call('ZCARD', KEYS[1]) - 1 <= tonumber(ARGV[2]) then return 1 end
redis.call('ZREM', KEYS[1], ARGV[4])
return 0
"""

# Arguments: lease, what is held. What runs a job is there again even if it was lost.
_RENEW = f"""{_KNOWN}
for i = 2, #ARGV do
  if ARGV[i]:sub(1, 1) == '?' then redis.call('ZADD', KEYS[1], 'XX', until_, ARGV[i])
  else redis.call('ZADD', KEYS[1], until_, ARGV[i]) end
end
redis.call('PEXPIRE', KEYS[1], 86400000)
"""

# Arguments: the channel, what to publish there if anything became free, what is given back.
_RELEASE = """
local freed = 0
for i = 3, #ARGV do freed = freed + redis.call('ZREM', KEYS[1], ARGV[i]) end
if freed > 0 and ARGV[2] ~= '' then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
return freed
"""

# Arguments: lease, the jobs that run according to the rows.
_SEED = f"""{_KNOWN}
if known then return end
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '+inf', '+inf')) do redis.call('ZREM', KEYS[1], old) end
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 'NX', until_, ARGV[i]) end
redis.call('ZADD', KEYS[1], '+inf', mark)
redis.call('PEXPIRE', KEYS[1], 86400000)
"""

# Arguments: lease, jobs that do not run according to the rows.
_DROP = f"""{_KNOWN}
for i = 2, #ARGV do
  local until_ = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if until_ and tonumber(until_) <= now then redis.call('ZREM', KEYS[1], ARGV[i]) end
end
"""


class SlotStore:
    """The slots of one queue in Redis, as this process counts them. Every call blocks."""

    def __init__(self, wire: Wire, database: Database, queue_name: str, limit: int, lease: float) -> None:
        """Prepare the store; nothing is opened.

        Args:
            wire: Whose Redis holds the slots.
            database: Whose rows say what runs.
            queue_name: The queue.
            limit: Slots in all.
            lease: Seconds that a slot is held without a sign of life.
        """
        self._wire = wire
        self._database = database
        self._queue_name = queue_name
        self._limit = limit
        self._lease_ms = max(1, int(lease * 1000))
        self._key = f"{wire.namespace}:slots:{queue_name}"
        self._lists = [f"{wire.namespace}:{queue_of(queue_name, priority)}" for priority in PRIORITIES]
        register = wire.client.register_script
        self._acquire, self._bind, self._renew = register(_ACQUIRE), register(_BIND), register(_RENEW)
        self._release, self._seed, self._drop = register(_RELEASE), register(_SEED), register(_DROP)

    def acquire(self, names: Sequence[str]) -> int:
        """Take slots, one for each message that waits; give how many of `names` are taken, from the first on.

        Asking again with the same names gives those back first that an answer was lost of.

        Raises:
            BrokerUnavailable: Redis does not answer.
            StorageError: The rows are to be asked, and the database failed.
        """
        count, late = self._try_acquire(names)
        if late and self._drop_dead(late):
            count, _ = self._try_acquire(names)
        return count

    def bind(self, name: str, job: str) -> bool:
        """Bind a slot to a job whose row is claimed; False if it was lost and no other is free, so that it must not run.

        Raises:
            BrokerUnavailable: Redis does not answer.
            StorageError: The rows are to be asked, and the database failed.
        """
        for _ in range(TRIES):
            with self._wire.translated():
                answer = self._bind(keys=[self._key], args=[self._lease_ms, self._limit, name, job])
            if answer != UNKNOWN:
                return bool(answer == 1)
            self.seed()
        return False

    def renew(self, members: Iterable[str]) -> None:
        """Hold slots for another lease.

        Raises:
            BrokerUnavailable: Redis does not answer.
        """
        with self._wire.translated():
            self._renew(keys=[self._key], args=[self._lease_ms, *members])

    def release(self, members: Iterable[str], *, wake: bool) -> None:
        """Give slots back.

        Args:
            members: What they may be called.
            wake: Whether workers that wait for one shall look.

        Raises:
            BrokerUnavailable: Redis does not answer.
        """
        news = f"wake:{self._queue_name}" if wake else ""
        with self._wire.translated():
            self._release(keys=[self._key], args=[self._wire.channel, news, *members])

    def seed(self) -> None:
        """Let the rows say who runs.

        Raises:
            BrokerUnavailable: Redis does not answer.
            StorageError: The database failed.
        """
        running = self._database.read(_running, self._queue_name)
        with self._wire.translated():
            self._seed(keys=[self._key], args=[self._lease_ms, *running])

    def _try_acquire(self, names: Sequence[str]) -> tuple[int, list[str]]:
        for _ in range(TRIES):
            with self._wire.translated():
                count, *late = self._acquire(
                    keys=[self._key, *self._lists], args=[self._lease_ms, self._limit, *names]
                )
            if count != UNKNOWN:
                return int(count), [member.decode() for member in late]
            self.seed()
        return 0, []

    def _drop_dead(self, late: list[str]) -> bool:
        # A worker that reaches the database and not Redis renews its rows and not its slots.
        dead = set(late) - self._database.read(_held, late)
        if dead:
            with self._wire.translated():
                self._drop(keys=[self._key], args=[self._lease_ms, *dead])
        return bool(dead)


def _running(connection: Connection, queue_name: str) -> list[str]:
    query = select(jobs.c.id, jobs.c.epoch).where(
        jobs.c.queue_name == queue_name, jobs.c.state == "executing"
    )
    return [f"{job_id}.{epoch}" for job_id, epoch in connection.execute(query)]


def _held(connection: Connection, members: list[str]) -> set[str]:
    ids = [member.partition(".")[0] for member in members]
    query = select(jobs.c.id, jobs.c.epoch).where(
        jobs.c.id.in_(ids), jobs.c.state == "executing", jobs.c.lease_until > db_now()
    )
    return {f"{job_id}.{epoch}" for job_id, epoch in connection.execute(query)}
