-- Read a page of the log, and what it is a page of, as they stand at one moment.
-- KEYS: record, log.
-- ARGV: index of the first event (from 0), of the last, bytes after which the page ends.
-- Returns version, epochs, length, events; nothing if there is no such task.
local record, log = KEYS[1], KEYS[2]
local first, last, bytes_left = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local at_once = 32 -- events that are read by one command, since each may be large

local found = call('HMGET', record, 'v', 'epochs')
local version, epochs = found[1], found[2]
if not epochs then
  return nil
end
local length = call('LLEN', log)
last = math.min(last, length - 1)
local events = {}
while first <= last and bytes_left > 0 do
  for _, event in ipairs(call('LRANGE', log, first, math.min(first + at_once - 1, last))) do
    if bytes_left > 0 then
      events[#events + 1] = event
      bytes_left = bytes_left - #event
    end
  end
  first = first + at_once
end
return {version, epochs, length, events}
