-- Read which holders have the slots of a counter, the first to end first.
-- KEYS: the slots, scored by when they end.
-- ARGV: how many of them at most.
-- Returns pairs of a holder and the ms that it has left.
local slots = KEYS[1]
local limit = ARGV[1]

local time = now()
local found = call('ZRANGE', slots, 0, limit - 1, 'WITHSCORES')
local held = {}
for index = 1, #found, 2 do
  held[#held + 1] = {found[index], tonumber(found[index + 1]) - time}
end
return held
