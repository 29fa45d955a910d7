-- Free an idempotency key if it is bound to this task.
-- KEYS: the key.
-- ARGV: task id.
-- Returns 1.
local key = KEYS[1]
local task_id = ARGV[1]

local bound = call('GET', key)
if bound and string.find(bound, ' ' .. task_id .. ' ', 1, true) then
  call('DEL', key)
end
return 1
