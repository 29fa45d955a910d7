-- Add to what an account used in its window, unless that would be more than it may.
-- KEYS: the tally.  ARGV: amount, limit (-1: none), window in ms.
-- Answers 1 if it was granted, what is used, and ms left of the window.
local used, amount, limit = tonumber(redis.call('GET', KEYS[1]) or 0), tonumber(ARGV[1]), tonumber(ARGV[2])
local granted = limit < 0 or used + amount <= limit
if granted and amount > 0 then
  used = redis.call('INCRBY', KEYS[1], amount)
  if redis.call('PTTL', KEYS[1]) < 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
  end
end
local left = redis.call('PTTL', KEYS[1])
return {granted and 1 or 0, used, left < 0 and tonumber(ARGV[3]) or left}
