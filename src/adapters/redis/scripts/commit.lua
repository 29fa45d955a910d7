-- Write a transition that was decided on a record as it was read, if it still is so.
-- KEYS: record, log, lease, heartbeat, tombstone, key that must be absent...
-- ARGV: expected status, expected attempt, expected writer ('*' for any), events that the log must
--   hold at least, 1 if the record must have no message id, state, its version, request if it was found in `task`
--   ('' for none), status, attempt, writer, lease in ms (0 for none), ttl in ms, orphan timeout in ms
--   (0 once the task has ended), that of a tombstone (0 for none), channel, epoch, the owner's channel,
--   task id, event...
-- Returns the length of the log, or 0 if the record is another by now, or held; 1 if the index is to be
-- told that the task is there; and, if there is a lease, the request and what was noted of the
-- continuation (record.py), each '' if the store has none.
local record, log, lease, heartbeat, tombstone = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local first_absent = 6
local expected_status, expected_attempt, expected_writer, logged = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local without_message = ARGV[5] == '1'
local state, version, older_request = ARGV[6], ARGV[7], ARGV[8]
local status, attempt, writer = ARGV[9], ARGV[10], ARGV[11]
local lease_ms, ttl_ms, orphan_ms, tombstone_ms = ARGV[12], ARGV[13], ARGV[14], ARGV[15]
local channel, epoch, owner_channel, id = ARGV[16], ARGV[17], ARGV[18], ARGV[19]
local first_event = 20

local found = call('HMGET', record, 'status', 'attempt', 'writer', 'epochs', 'indexed')
if found[1] ~= expected_status or found[2] ~= expected_attempt
  or (expected_writer ~= '*' and found[3] ~= expected_writer)
  or (without_message and call('HEXISTS', record, 'message') == 1) then
  return {0, 0}
end
local before = call('LLEN', log)
if before < logged then
  return {end_attempt(record, lease), 0}
end
for index = first_absent, #KEYS do
  if call('EXISTS', KEYS[index]) == 1 then
    return {0, 0}
  end
end
-- Epochs of which the log holds nothing any more are left out: its list may have been evicted.
local epochs, last_epoch = {}, '-'
for first, each in string.gmatch(found[4], '(%d+)-(%w+)') do
  if tonumber(first) <= before then
    epochs[#epochs + 1], last_epoch = first .. '-' .. each, each
  end
end
epochs[#epochs + 1] = (before + 1) .. '-' .. epoch
if older_request ~= '' then
  call('HSETNX', record, 'request', older_request)
end
if call('HSTRLEN', record, 'task') > 2 then -- not '{}'
  call('HSET', record, 'task', with_request(state, call('HGET', record, 'request')))
end
call('HSET', record, 'v', version, 'state', state, 'status', status, 'attempt', attempt,
  'writer', writer, 'epoch', epoch, 'epochs', table.concat(epochs, ' '))
if lease_ms == '0' then
  call('DEL', lease)
else
  call('SET', lease, writer, 'PX', lease_ms)
end
if orphan_ms == '0' then
  call('DEL', heartbeat)
else
  call('SET', heartbeat, '', 'PX', orphan_ms)
end
if tombstone_ms ~= '0' then
  call('SET', tombstone, 'expired', 'PX', tombstone_ms)
end
local length = call('RPUSH', log, unpack(ARGV, first_event))
call('PEXPIRE', record, ttl_ms)
call('PEXPIRE', log, ttl_ms)
publish_events(channel, last_epoch, epoch, before + 1, first_event)
notify(owner_channel, id)
local index_due = orphan_ms ~= '0' and is_index_due(record, found[5], ttl_ms) or 0
if lease_ms == '0' then
  return {length, index_due}
end
local begun = call('HMGET', record, 'request', 'response', 'cursor')
return {length, index_due, begun[1] or '', begun[2] or '', begun[3] or ''}
