-- Add events of a live attempt and hold its lease; with no events, only hold it.
-- KEYS: record, log, lease.  ARGV: attempt, lease in ms, ttl in ms, channel, event...
-- Answers 1, or 0 if the attempt may no longer write. `writer` is the one attempt that may.
local record = redis.call('HMGET', KEYS[1], 'writer', 'epoch')
if record[1] ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
if #ARGV > 4 then
  local first = redis.call('LLEN', KEYS[2]) + 1
  for number = 5, #ARGV do
    redis.call('RPUSH', KEYS[2], ARGV[number])
  end
  redis.call('PUBLISH', ARGV[4],
    record[2] .. ' ' .. first .. ' [' .. table.concat(ARGV, ',', 5) .. ']')
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1
