-- Take places of an account, or hold them longer, unless all are taken.
-- KEYS: the places, by when they end.  ARGV: limit (-1: none), ms to hold them, holder...
-- Answers 1, or 0 if there was no place.
local begun = now()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', begun)
local limit = tonumber(ARGV[1])
if limit >= 0 and not redis.call('ZSCORE', KEYS[1], ARGV[3])
  and redis.call('ZCARD', KEYS[1]) >= limit then
  return 0
end
for number = 3, #ARGV do
  redis.call('ZADD', KEYS[1], begun + ARGV[2], ARGV[number])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
