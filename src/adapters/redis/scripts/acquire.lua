-- Take slots of a counter, or hold them longer, unless all are taken.
-- KEYS: the slots, scored by when they end.
-- ARGV: limit (-1: none), ms to hold them, holder...
-- Returns 1, or 0 if there was no slot.
local slots = KEYS[1]
local limit, hold_ms = tonumber(ARGV[1]), ARGV[2]
local first_holder = 3

local time = now()
call('ZREMRANGEBYSCORE', slots, '-inf', time)
if limit >= 0 and not call('ZSCORE', slots, ARGV[first_holder])
  and call('ZCARD', slots) >= limit then
  return 0
end
for index = first_holder, #ARGV do
  call('ZADD', slots, time + hold_ms, ARGV[index])
end
call('PEXPIRE', slots, hold_ms)
return 1
