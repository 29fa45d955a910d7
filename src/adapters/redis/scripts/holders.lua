-- Who holds the places of an account, the first to end first.
-- KEYS: the places, by when they end.
-- Answers pairs of a holder and the ms that it has left.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
local pairs_ = {}
for index = 1, #found, 2 do
  pairs_[#pairs_ + 1] = {found[index], tonumber(found[index + 1]) - now}
end
return pairs_
