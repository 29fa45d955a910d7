-- Bind an idempotency key if it is free, or still bound as the caller has seen it.
-- KEYS: the key.
-- ARGV: fingerprint and task id, ttl in ms, the value that may be replaced ('*' for any).
-- Returns the value as it then is, and the time in ms.
local key = KEYS[1]
local binding, ttl_ms, replaced = ARGV[1], ARGV[2], ARGV[3]

local time, bound = now(), call('GET', key)
if not bound or replaced == '*' or bound == replaced then
  bound = binding .. ' ' .. time
  call('SET', key, bound, 'PX', ttl_ms)
end
return {bound, time}
