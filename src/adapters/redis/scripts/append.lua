-- Add events of a live attempt and hold its lease.
-- KEYS: record, log, lease.
-- ARGV: attempt, events that the log holds, lease in ms, ttl in ms, channel, event...
-- Answers the length of the log, or 0 if the attempt may no longer write.
local record = redis.call('HMGET', KEYS[1], 'writer', 'epoch')
if record[1] ~= ARGV[1] then
  return 0
end
local before, length = tonumber(ARGV[2]), redis.call('LLEN', KEYS[2])
if length < before then
  return forsake()
end
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[3])
if length == before then
  for number = 6, #ARGV do
    length = redis.call('RPUSH', KEYS[2], ARGV[number])
  end
  redis.call(publish, ARGV[5],
    record[2] .. ' ' .. record[2] .. ' ' .. (before + 1) .. ' [' .. table.concat(ARGV, ',', 6) .. ']')
end -- else they were added already, and only the answer was lost: nobody but the writer adds
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return length
