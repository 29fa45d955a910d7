-- Bind an idempotency key if it is free, or still bound as the caller has seen it.
-- KEYS: the key.  ARGV: fingerprint and task id, time to live in ms, value that may be replaced.
-- Returns the value as it then is, and the time in ms.
local asked, bound = now(), redis.call('GET', KEYS[1])
if not bound or bound == ARGV[3] then
  bound = ARGV[1] .. ' ' .. asked
  redis.call('SET', KEYS[1], bound, 'PX', ARGV[2])
end
return {bound, asked}
