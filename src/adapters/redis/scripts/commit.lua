-- Write a transition that was decided on a record as it was read, if it still is so.
-- KEYS: record, log, lease.
-- ARGV: expected status, expected attempt, expected writer ('' for any), events that the log must
--   hold at least, 1 if no live lease may stand in the way, task, status, attempt, writer, lease in
--   ms (0 for none), ttl in ms, channel, event...
-- Answers the length of the log, or 0 if the record is another by now, or held.
local record = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'writer', 'epoch')
if record[1] ~= ARGV[1] or record[2] ~= ARGV[2] or (ARGV[3] ~= '' and record[3] ~= ARGV[3]) then
  return 0
end
local before = redis.call('LLEN', KEYS[2])
if before < tonumber(ARGV[4]) then
  return forsake(record[4], before)
end
if ARGV[5] == '1' and redis.call('EXISTS', KEYS[3]) == 1 then
  return 0
end
redis.call('HSET', KEYS[1], 'task', ARGV[6], 'status', ARGV[7], 'attempt', ARGV[8],
  'writer', ARGV[9])
if ARGV[10] == '0' then
  redis.call('DEL', KEYS[3])
else
  redis.call('SET', KEYS[3], ARGV[8], 'PX', ARGV[10])
end
local length = redis.call('RPUSH', KEYS[2], unpack(ARGV, 13))
redis.call('PEXPIRE', KEYS[1], ARGV[11])
redis.call('PEXPIRE', KEYS[2], ARGV[11])
redis.call(publish, ARGV[12],
  record[4] .. ' ' .. (before + 1) .. ' [' .. table.concat(ARGV, ',', 13) .. ']')
return length
