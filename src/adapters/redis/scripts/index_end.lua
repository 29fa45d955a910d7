-- Note that a task has ended, and give it a cursor. If that is noted already, change nothing.
-- ARGV: id, entry, ms after which it expires, the cursor that it has from another store ('' for none),
--   the owner's channel.
-- Returns 1.
local id, entry, ttl_ms, cursor, owner_channel = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]

local time = now()
if call('HGET', entries, id) ~= entry then
  remove(id)
  local last = tonumber(call('HGET', entries, LAST) or 0)
  cursor = cursor or math.max(last + 1, time)
  while call('ZCOUNT', ended, cursor, cursor) > 0 do
    cursor = cursor + 1
  end
  put(id, entry, time + ttl_ms)
  call('ZADD', ended, cursor, id)
  call('HSET', entries, LAST, math.max(last, cursor))
  notify(owner_channel, id) -- so that watchers learn its cursor
end
return finish(time)
