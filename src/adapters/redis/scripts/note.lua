-- Note under which id the queue holds a task, from now on for as long as it may bring it.
-- KEYS: record, awaited.  ARGV: message id, patience in ms.
-- Answers the task; nothing if there is none of this id.
local task = redis.call('HGET', KEYS[1], 'task')
if task then
  redis.call('HSET', KEYS[1], 'message', ARGV[1])
  redis.call('SET', KEYS[2], '', 'PX', ARGV[2])
end
return task
