-- Write a new task, unless there is one of this id.
-- KEYS: record, log, awaited.
-- ARGV: task, status, attempt, epoch, ttl in ms, patience in ms, channel, event...
-- Answers 1 if written, 0 if there was one.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
redis.call('HSET', KEYS[1], 'task', ARGV[1], 'status', ARGV[2], 'attempt', ARGV[3],
  'writer', 0, 'epoch', ARGV[4], 'epochs', '1-' .. ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('DEL', KEYS[2])
redis.call('RPUSH', KEYS[2], unpack(ARGV, 8))
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('SET', KEYS[3], '', 'PX', ARGV[6])
redis.call(publish, ARGV[7], '- ' .. ARGV[4] .. ' 1 [' .. table.concat(ARGV, ',', 8) .. ']')
return 1
