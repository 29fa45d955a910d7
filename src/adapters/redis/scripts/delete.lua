-- Delete a task, and leave its tombstone.
-- KEYS: record, log, lease, heartbeat, tombstone.
-- ARGV: ttl of the tombstone in ms, the owner's channel, task id.
-- Returns 1, or 0 if there is no task of this id.
local record, log, lease, heartbeat, tombstone = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local tombstone_ms, owner_channel, id = ARGV[1], ARGV[2], ARGV[3]

if call('EXISTS', record) == 0 then
  return 0
end
-- In this order: a full Redis refuses a SET, but not behind a command that frees memory.
call('UNLINK', record, log, lease, heartbeat)
call('SET', tombstone, 'deleted', 'PX', tombstone_ms)
notify(owner_channel, id)
return 1
