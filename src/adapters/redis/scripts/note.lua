-- Note under which id the queue holds a task, from now on for as long as it may bring it.
-- KEYS: record, awaited.  ARGV: message id, patience in ms.
-- Answers 1 if there is a task of this id, else 0.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], 'message', ARGV[1])
redis.call('SET', KEYS[2], '', 'PX', ARGV[2])
return 1
