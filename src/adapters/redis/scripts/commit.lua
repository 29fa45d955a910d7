-- Write a transition that was decided on a record as it was read, if it still is so.
-- KEYS: record, log, lease.
-- ARGV: expected status, expected attempt, expected writer ('' for any), 1 if no live lease may
--   stand in the way, task, status, attempt, writer, lease in ms (0 for none), ttl in ms, channel,
--   event...
-- Answers 1, or 0 if the record is another by now, or held.
local record = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'writer', 'epoch')
if record[1] ~= ARGV[1] or record[2] ~= ARGV[2] or (ARGV[3] ~= '' and record[3] ~= ARGV[3]) then
  return 0
end
if ARGV[4] == '1' and redis.call('EXISTS', KEYS[3]) == 1 then
  return 0
end
redis.call('HSET', KEYS[1], 'task', ARGV[5], 'status', ARGV[6], 'attempt', ARGV[7],
  'writer', ARGV[8])
if ARGV[9] == '0' then
  redis.call('DEL', KEYS[3])
else
  redis.call('SET', KEYS[3], ARGV[7], 'PX', ARGV[9])
end
local first = redis.call('LLEN', KEYS[2]) + 1
redis.call('RPUSH', KEYS[2], unpack(ARGV, 12))
redis.call('PEXPIRE', KEYS[1], ARGV[10])
redis.call('PEXPIRE', KEYS[2], ARGV[10])
redis.call('PUBLISH', ARGV[11],
  record[4] .. ' ' .. first .. ' [' .. table.concat(ARGV, ',', 12) .. ']')
return 1
