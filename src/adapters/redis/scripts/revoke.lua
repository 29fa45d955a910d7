-- Take the right to write from whoever has it, so that the text of a task stands still.
-- KEYS: record.  ARGV: expected status, expected attempt.
-- Answers 1, or 0 if the record is another by now.
local record = redis.call('HMGET', KEYS[1], 'status', 'attempt')
if record[1] ~= ARGV[1] or record[2] ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'writer', 0)
return 1
