"""The log that all workers share of what was sent to one model of a provider, in Redis and on its clock.

Each request is an entry at the moment when it may be sent, and that moment is chosen so that no window of the log's
length holds more than the limit. Entries stand in the order of their coming, so nobody is overtaken and nobody starves.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import redis

from jobs.provider_limit import ProviderLimit
from jobs.redis_client import Script

_MICRO = 1_000_000

#: Keys: the times of the entries, and a hash of their tokens, with their sum and the end of a pause.
#: Arguments: id, window and patience in microseconds, requests and tokens that fit a window (0: any), tokens wanted.
ENTER = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local window, patience = tonumber(ARGV[2]), tonumber(ARGV[3])
local most_requests, most_tokens, wanted = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local function tokens_of(id) return tonumber(redis.call('HGET', KEYS[2], id) or '0') end
local sum = tonumber(redis.call('HGET', KEYS[2], '=sum') or '0')
local paused = tonumber(redis.call('HGET', KEYS[2], '=paused') or '0')
-- A client that got no answer asks again.
if redis.call('ZREM', KEYS[1], ARGV[1]) == 1 then
  sum = sum - tokens_of(ARGV[1])
  redis.call('HDEL', KEYS[2], ARGV[1])
end
while true do
  local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - window, 'LIMIT', 0, 100)
  if #old == 0 then break end
  for _, id in ipairs(old) do
    sum = sum - tokens_of(id)
    redis.call('HDEL', KEYS[2], id)
    redis.call('ZREM', KEYS[1], id)
  end
end
local kept = redis.call('ZCARD', KEYS[1])
if kept == 0 then
  sum = 0
  redis.call('DEL', KEYS[2])
  if paused > now then redis.call('HSET', KEYS[2], '=paused', string.format('%.0f', paused)) end
end
local start, why = now, ''
if paused > start then start, why = paused, 'pause' end
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] and tonumber(last[2]) > start then start, why = tonumber(last[2]), 'line' end
local used, place, fits = sum, 0, false
while not fits do
  local batch = redis.call('ZRANGE', KEYS[1], place, place + 49, 'WITHSCORES')
  if #batch == 0 then break end
  for i = 1, #batch, 2 do
    local leaves = tonumber(batch[i + 1]) + window
    if leaves > start then
      local crowded = most_requests > 0 and kept + 1 > most_requests
      if not crowded and (most_tokens == 0 or used + wanted <= most_tokens) then
        fits = true
        break
      end
      start, why = leaves, crowded and 'requests' or 'tokens'
    end
    kept, used = kept - 1, used - tokens_of(batch[i])
  end
  place = place + 50
end
local wait = start - now
local granted = wait <= patience
if granted then
  redis.call('ZADD', KEYS[1], string.format('%.0f', start), ARGV[1])
  redis.call('HSET', KEYS[2], ARGV[1], wanted)
  sum = sum + wanted
end
redis.call('HSET', KEYS[2], '=sum', string.format('%.0f', sum))
local kept_ms = math.ceil((window * 2 + patience + math.max(paused - now, 0)) / 1000)
redis.call('PEXPIRE', KEYS[1], kept_ms)
redis.call('PEXPIRE', KEYS[2], kept_ms)
return {granted and 1 or 0, wait, why, start}
""")

#: Arguments: id, and the tokens it has used; below zero takes the entry away. One that has left the log changes nothing.
SETTLE = Script("""
local known = redis.call('HGET', KEYS[2], ARGV[1])
if not known then return 0 end
local tokens = tonumber(ARGV[2])
local sum = tonumber(redis.call('HGET', KEYS[2], '=sum') or '0') - tonumber(known)
if tokens < 0 then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[2], ARGV[1])
else
  redis.call('HSET', KEYS[2], ARGV[1], tokens)
  sum = sum + tokens
end
redis.call('HSET', KEYS[2], '=sum', string.format('%.0f', sum))
return 1
""")

#: Arguments: microseconds from now, at least for which nothing may be sent; 0 asks for what is left of a pause.
PAUSE = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local paused = tonumber(redis.call('HGET', KEYS[2], '=paused') or '0')
local asked = now + tonumber(ARGV[1])
if asked > paused and asked > now then
  redis.call('HSET', KEYS[2], '=paused', string.format('%.0f', asked))
  local left = redis.call('PTTL', KEYS[2])
  local needed = math.ceil(tonumber(ARGV[1]) / 1000)
  if left < needed then redis.call('PEXPIRE', KEYS[2], needed) end
  paused = asked
end
return math.max(paused - now, 0)
""")


@dataclass(frozen=True, slots=True)
class Turn:
    """When a request may be sent."""

    #: False: not within the time that it would wait, and nothing is reserved.
    granted: bool
    #: Seconds from now.
    wait: float
    #: That moment, in seconds on Redis's clock.
    at: float
    #: What it waits for: `requests`, `tokens`, `pause`, `line` (those before it); empty for nothing.
    why: str


class ProviderLog:
    """One model of one provider under one key. Its methods wait for Redis, and raise what its client raises."""

    def __init__(self, client: redis.Redis, name: str, window: float) -> None:
        """Prepare.

        Args:
            client: Redis.
            name: What `log_name` gives.
            window: Seconds in which no more than the limit may be sent.
        """
        self._client = client
        self._keys = (f"aq:limit:{{{name}}}:at", f"aq:limit:{{{name}}}:tokens")
        self._window = int(window * _MICRO)

    def enter(self, entry: str, limit: ProviderLimit, tokens: int, patience: float) -> Turn:
        """Take a place in the log, unless it would be too late.

        Args:
            entry: The request's name.
            limit: What fits a window.
            tokens: Tokens it will use; no more than a whole window's count.
            patience: Seconds it would wait.
        """
        most = limit.tokens or 0
        wanted = min(tokens, most) if most else tokens
        sizes = (self._window, int(max(patience, 0.0) * _MICRO), limit.requests or 0, most, wanted)
        granted, wait, why, at = self._run(ENTER, entry, *sizes)
        return Turn(granted=bool(granted), wait=int(wait) / _MICRO, at=int(at) / _MICRO, why=why.decode())

    def settle(self, entry: str, tokens: int) -> None:
        """Put what a request has used in the place of what was reserved."""
        self._run(SETTLE, entry, max(tokens, 0))

    def withdraw(self, entry: str) -> None:
        """Take back the place of a request that was not sent."""
        self._run(SETTLE, entry, -1)

    def pause(self, seconds: float) -> float:
        """Let nobody through for so long from now; give the seconds that are left of any pause."""
        return int(self._run(PAUSE, int(max(seconds, 0.0) * _MICRO))) / _MICRO

    def _run(self, script: Script, *arguments: Any) -> Any:
        return script.run(self._client, [len(self._keys), *self._keys, *arguments])


def log_name(base_url: str, model: str, secret: str) -> str:
    """Name a log. It holds no secret: of the key there is only the beginning of a hash, of the URL no parameters."""
    parts = urlsplit(base_url)
    server = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
    return f"{server}|{model}|{sha256(secret.encode()).hexdigest()[:12]}".replace("}", "%7D")
