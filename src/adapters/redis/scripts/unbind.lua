-- Free an idempotency key if it is bound to this task.
-- KEYS: the key.  ARGV: task id.
local bound = redis.call('GET', KEYS[1])
if bound and string.find(bound, ' ' .. ARGV[1] .. ' ', 1, true) then
  redis.call('DEL', KEYS[1])
end
return 1
