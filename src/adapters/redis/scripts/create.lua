-- Write a new task, unless there is one of this id.
-- KEYS: record, log, heartbeat.
-- ARGV: task, request ('' for none), status, attempt, epoch, ttl in ms, orphan timeout in ms, channel, event...
-- Returns 1 if written, 0 if there was one.
local record, log, heartbeat = KEYS[1], KEYS[2], KEYS[3]
local task, request, status, attempt, epoch = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local ttl_ms, orphan_ms, channel = ARGV[6], ARGV[7], ARGV[8]
local first_event = 9

if call('EXISTS', record) == 1 then
  return 0
end
call('HSET', record, 'v', VERSION, 'task', task, 'status', status, 'attempt', attempt,
  'writer', 0, 'epoch', epoch, 'epochs', '1-' .. epoch)
if request ~= '' then
  call('HSET', record, 'request', request)
end
call('PEXPIRE', record, ttl_ms)
call('DEL', log)
call('RPUSH', log, unpack(ARGV, first_event))
call('PEXPIRE', log, ttl_ms)
call('SET', heartbeat, '', 'PX', orphan_ms)
publish_events(channel, '-', epoch, 1, first_event)
return 1
