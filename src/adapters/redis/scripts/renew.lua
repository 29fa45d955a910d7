-- Renew the lease of a live attempt.
-- KEYS: record, log, lease, heartbeat.
-- ARGV: fencing token, lease in ms, ttl in ms, orphan timeout in ms, events that the log must hold at
--   least.
-- Returns 1, or 2 if the index is to be told that the task is there, or 0 if the attempt may no longer
-- write.
local record, log, lease, heartbeat = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local fence, lease_ms, ttl_ms, orphan_ms, logged = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])

local found = call('HMGET', record, 'writer', 'indexed')
if found[1] ~= fence then
  return 0
end
if call('LLEN', log) < logged then
  return end_attempt(record, lease)
end
call('SET', lease, fence, 'PX', lease_ms)
call('SET', heartbeat, '', 'PX', orphan_ms)
call('PEXPIRE', record, ttl_ms)
call('PEXPIRE', log, ttl_ms)
return 1 + is_index_due(record, found[2], ttl_ms)
