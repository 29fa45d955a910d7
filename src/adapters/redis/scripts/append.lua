-- Add events of a live attempt, and renew its lease.
-- KEYS: record, log, lease.
-- ARGV: fencing token, events that the log held when the attempt last wrote, lease in ms, ttl in ms,
--   channel, what to note as cursor (keys.py; '' for nothing), event...
-- Returns the length of the log, or 0 if the attempt may no longer write.
local record, log, lease = KEYS[1], KEYS[2], KEYS[3]
local fence, logged, lease_ms, ttl_ms, channel = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local cursor = ARGV[6]
local first_event = 7

local found = call('HMGET', record, 'writer', 'epoch')
local writer, epoch = found[1], found[2]
if writer ~= fence then
  return 0
end
local length = call('LLEN', log)
if length < logged then
  return end_attempt(record, lease)
end
call('SET', lease, fence, 'PX', lease_ms)
if length == logged then
  for index = first_event, #ARGV do
    length = call('RPUSH', log, ARGV[index])
  end
  if cursor ~= '' then
    call('HSET', record, 'cursor', cursor)
  end
  publish_events(channel, epoch, epoch, logged + 1, first_event)
end -- else they were added already, and only the response was lost: nothing but the writer adds
call('PEXPIRE', record, ttl_ms)
call('PEXPIRE', log, ttl_ms)
return length
