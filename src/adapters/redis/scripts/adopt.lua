-- Write an ended task as another store has kept it, unless one of this id has ended, is held by an
-- attempt, or was deleted. One that is neither is replaced.
-- KEYS: record, log, tombstone, first events of a long log (a list), lease, heartbeat.
-- ARGV: version, state, request ('' for none), the request's version, status, attempt, epochs, last
--   epoch, message id ('' for none), ttl in ms, that of a tombstone (0 for none), how many events the
--   list has, channel, the owner's channel, task id, event...
-- Returns 1 if written, 0 if one has ended, or there is its tombstone, 2 if one is held, -1 if the
-- list was lost.
local record, log, tombstone, staged = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local lease, heartbeat = KEYS[5], KEYS[6]
local version, state, request, request_version = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local status, attempt, epochs, epoch, message = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local ttl_ms, tombstone_ms, staged_length = ARGV[10], ARGV[11], tonumber(ARGV[12])
local channel, owner_channel, id = ARGV[13], ARGV[14], ARGV[15]
local first_event = 16

local there = call('HGET', record, 'status')
local unfinished = there == 'pending' or there == 'running'
if there and not unfinished or call('EXISTS', tombstone) == 1 then
  call('DEL', staged)
  return 0
end
if unfinished and call('EXISTS', lease) == 1 then
  call('DEL', staged)
  return 2
end
if call('LLEN', staged) ~= staged_length then
  call('DEL', staged)
  return -1
end
call('DEL', record, lease, heartbeat)
call('HSET', record, 'v', version, 'state', state, 'status', status, 'attempt', attempt,
  'writer', 0, 'epoch', epoch, 'epochs', epochs, 'task', '{}')
if request ~= '' then
  call('HSET', record, 'request', request, 'request_v', request_version)
end
if message ~= '' then
  call('HSET', record, 'message', message)
end
call('PEXPIRE', record, ttl_ms)
call('DEL', log)
if staged_length > 0 then
  call('RENAME', staged, log)
end
for index = first_event, #ARGV do
  call('RPUSH', log, ARGV[index])
end
call('PEXPIRE', log, ttl_ms)
if tombstone_ms ~= '0' then
  call('SET', tombstone, 'expired', 'PX', tombstone_ms)
end
if unfinished and #ARGV >= first_event then
  -- Its readers have positions of other epochs. So the last event follows none of them, and they
  -- begin anew.
  publish_events(channel, epoch, epoch, call('LLEN', log), #ARGV)
end
notify(owner_channel, id)
return 1
