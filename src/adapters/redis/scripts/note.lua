-- Note under which id the queue holds a task, which from now on may be delivered for a while.
-- KEYS: record, heartbeat.
-- ARGV: message id, orphan timeout in ms.
-- Returns 1, or 0 if there is no task of this id.
local record, heartbeat = KEYS[1], KEYS[2]
local message_id, orphan_ms = ARGV[1], tonumber(ARGV[2])

if call('EXISTS', record) == 0 then
  return 0
end
call('HSET', record, 'message', message_id)
-- The heartbeat of a task that is delayed lasts longer as it is.
call('SET', heartbeat, '', 'PX', math.max(orphan_ms, call('PTTL', heartbeat)))
return 1
