-- Write a new task, unless there is one of this id, or was one that is deleted.
-- KEYS: record, log, heartbeat, tombstone.
-- ARGV: state, its version, request ('' for none), the request's version, 1 if instances of the version before are
--   to find it (record.py), status, attempt, epoch, ttl in ms, orphan timeout in ms, channel, the owner's
--   channel, task id, when the task may begin (ms since 1970, 0 for at once), event...
-- Returns 1 if written, 0 if there was one, or there is its tombstone.
local record, log, heartbeat, tombstone = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local state, version, request, request_version, shared = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1'
local status, attempt, epoch = ARGV[6], ARGV[7], ARGV[8]
local ttl_ms, orphan_ms, channel, owner_channel, id = ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13]
local delay_ms = math.max(0, ARGV[14] - now())
local first_event = 15

if call('EXISTS', record, tombstone) > 0 then
  return 0
end
call('HSET', record, 'v', version, 'state', state, 'status', status, 'attempt', attempt,
  'writer', 0, 'indexed', now(), 'epoch', epoch, 'epochs', '1-' .. epoch,
  'task', shared and with_request(state, request) or '{}')
if request ~= '' then
  call('HSET', record, 'request', request, 'request_v', request_version)
end
call('PEXPIRE', record, ttl_ms + delay_ms)
call('DEL', log)
call('RPUSH', log, unpack(ARGV, first_event))
call('PEXPIRE', log, ttl_ms + delay_ms)
call('SET', heartbeat, '', 'PX', orphan_ms + delay_ms)
publish_events(channel, '-', epoch, 1, first_event)
notify(owner_channel, id)
return 1
