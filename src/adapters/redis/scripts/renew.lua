-- Hold the lease of a live attempt.
-- KEYS: record, log, lease, awaited.
-- ARGV: attempt, lease in ms, ttl in ms, patience in ms, events that the log must hold at least.
-- Answers 1, or 0 if the attempt may no longer write.
if redis.call('HGET', KEYS[1], 'writer') ~= ARGV[1] then
  return 0
end
if redis.call('LLEN', KEYS[2]) < tonumber(ARGV[5]) then
  return forsake()
end
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[4], '', 'PX', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1
