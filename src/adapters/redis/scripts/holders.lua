-- Who holds the places of an account, the first to end first.
-- KEYS: the places, by when they end.  ARGV: how many of them at most.
-- Answers pairs of a holder and the ms that it has left.
local asked = now()
local found = redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1, 'WITHSCORES')
local held = {}
for index = 1, #found, 2 do
  held[#held + 1] = {found[index], tonumber(found[index + 1]) - asked}
end
return held
