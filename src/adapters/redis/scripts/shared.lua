-- Stands before each of the other scripts. Before it stand two constants: PUBLISH, the command that
-- publishes, and VERSION, that of what is written (codec.py).
local call = redis.call -- looked up once: it is called for every token

-- Returns the time in ms.
local function now()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Publish the events that one step added: those in ARGV from this index on.
-- `before` is the epoch of the event before them ('-': none), `first` the number of the first.
local function publish_events(channel, before, epoch, first, index)
  call(PUBLISH, channel, VERSION .. ' ' .. before .. ' ' .. epoch .. ' ' .. first
    .. ' [' .. table.concat(ARGV, ',', index) .. ']')
end

-- Returns the record as instances of the version before read it: with the request (record.py).
local function with_request(state, request)
  return string.sub(state, 1, -2) .. ',"request":' .. request .. '}'
end

-- The store lost the end of a log (a failover), or all of it (an eviction): the attempt that wrote it
-- may not go on, and the next one may begin at once.
-- Returns 0.
local function end_attempt(record, lease)
  call('HSET', record, 'writer', 0)
  call('DEL', lease)
  return 0
end
