-- A page of the log and what it is a page of, as they stand at one moment.
-- KEYS: record, log.
-- ARGV: index of the first event (from 0), of the last, bytes after which the page ends.
-- Answers epochs, length, events; nothing if there is no such task.
local epochs = redis.call('HGET', KEYS[1], 'epochs')
if not epochs then
  return nil
end
local length = redis.call('LLEN', KEYS[2])
local first, last, left = tonumber(ARGV[1]), math.min(ARGV[2], length - 1), tonumber(ARGV[3])
local events = {}
while first <= last and left > 0 do
  -- A few at a time, since each may be large.
  for _, event in ipairs(redis.call('LRANGE', KEYS[2], first, math.min(first + 31, last))) do
    if left > 0 then
      events[#events + 1] = event
      left = left - #event
    end
  end
  first = first + 32
end
return {epochs, length, events}
