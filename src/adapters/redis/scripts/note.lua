-- Note under which id the queue holds a task.
-- KEYS: record.  ARGV: message id.
-- Answers the task; nothing if there is none of this id.
local task = redis.call('HGET', KEYS[1], 'task')
if task then
  redis.call('HSET', KEYS[1], 'message', ARGV[1])
end
return task
