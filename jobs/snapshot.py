"""What is left of a live stream after its job's end: fragments that follow one another become one record.

A reader that stands between two of them must get the rest and nothing twice. So the joined record has the place of its last
fragment and lists where each of them begins, and a reader cuts off what it has.
"""

from __future__ import annotations

from bisect import bisect_right

from jobs.cursor import Position, parse_position
from jobs.redis_client import Script
from jobs.tail import Record

#: Streams of more entries stay in pieces: Redis does nothing else meanwhile, and this takes it about ten milliseconds.
MAX_ENTRIES = 2_000
#: What stands before the text in a fragment's JSON, see `jobs.live`.
TEXT = b'"text": "'

#: KEYS: the stream, its fence, a stream for the time of writing. ARGV: the epoch that ended it, `MAX_ENTRIES`.
#: The texts are joined as they stand in JSON, so that nothing is decoded and every cut is at a fragment's edge.
COMPACT = Script(
    """
local known = redis.call('HMGET', KEYS[2], 'e', 'ended')
if known[1] ~= ARGV[1] or known[2] ~= '1' then return 0 end
local length = redis.call('XLEN', KEYS[1])
if length > tonumber(ARGV[2]) then return 0 end
local find, sub = string.find, string.sub
local joins = { chunk = true, reasoning_chunk = true, tool_call_chunk = true }
local out, last = {}, nil
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
  local id, kind, said, head, body = entry[1], entry[2][1], entry[2][2], nil, nil
  if #entry[2] == 2 and joins[kind] and sub(said, -2) == '"}' then
    local _, at = find(said, '"text": "', 1, true)
    if at then head, body = sub(said, 1, at), sub(said, at + 1, -3) end
  end
  if head and last and last.kind == kind and last.head == head then
    local n = #last.bodies + 1
    last.bodies[n], last.marks[n] = body, id .. ':' .. last.size
    last.size, last.id = last.size + #body, id
  else
    last = { id = id, fields = entry[2], kind = kind, head = head }
    if head then last.bodies, last.marks, last.size = { body }, { id .. ':0' }, #body end
    out[#out + 1] = last
  end
end
if #out == length then return 0 end
redis.call('DEL', KEYS[3])
for _, e in ipairs(out) do
  if e.head and #e.bodies > 1 then
    e.fields = { e.kind, e.head .. table.concat(e.bodies) .. '"}', 'marks', table.concat(e.marks, ' ') }
  end
  redis.call('XADD', KEYS[3], e.id, unpack(e.fields))
end
local ttl = redis.call('PTTL', KEYS[1])
redis.call('RENAME', KEYS[3], KEYS[1])
if ttl > 0 then redis.call('PEXPIRE', KEYS[1], ttl) end
return length - #out
"""
)


def cut(record: Record, position: Position) -> Record:
    """Give what a reader that has everything up to `position` has not seen of a record."""
    if record.marks is None:
        return record
    places, offsets = zip(*(mark.split(b":") for mark in record.marks.split(b" ")), strict=True)
    seen = bisect_right([parse_position(place) for place in places], position)
    if not seen:
        return record
    head, found, body = record.data.partition(TEXT)
    return record._replace(data=head + found + body[int(offsets[seen]) :], marks=None)
