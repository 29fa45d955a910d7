-- Put a task that has not ended, or let it expire later.
-- ARGV: id, entry, ms after which it expires, 1 if it is about to be created (then one that is noted
--   as ended is replaced, else it is left as it is), when it may begin (ms since 1970, 0 for at once).
-- Returns 1.
local id, entry, lifetime_ms, created_anew = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local not_before = tonumber(ARGV[5])

local time = now()
local there = call('HGET', entries, id)
if created_anew or not there or not is_noted(there) then
  if there and there ~= entry then
    remove(id)
  end
  put(id, entry, math.max(time, not_before) + lifetime_ms)
  call('ZADD', unfinished, 0, member_of(id, entry))
end
return finish(time)
