-- A page of the log and what it is a page of, as they stand at one moment.
-- KEYS: record, log.  ARGV: index of the first event (from 0), of the last.
-- Answers epoch, length, events; nothing if there is no such task.
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
  return nil
end
return {epoch, redis.call('LLEN', KEYS[2]), redis.call('LRANGE', KEYS[2], ARGV[1], ARGV[2])}
