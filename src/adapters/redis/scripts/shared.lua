-- Stands before each of the other scripts. Before it stand two constants: PUBLISH, the command that
-- publishes, and VERSION, that of what is published (codec.py).
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

-- Tell an owner's watchers of a task. In a Cluster the nodes tell each other, as far as they reach each
-- other. So ends and deletions are told once more from the slot of the index, where watchers listen.
local function notify(owner_channel, task_id)
  call('PUBLISH', owner_channel, task_id)
end

-- Returns 1 if the caller is to write the entry in the owner's index again, and notes that it does. The
-- entry is missing if an instance of the version before created the task. Else it expires two ttl_ms
-- after it was last written, and so before the record of a task that goes on changing.
-- `indexed`: when the entry was last written, in ms.
local function is_index_due(record, indexed, ttl_ms)
  local time = now()
  if indexed and time < indexed + ttl_ms / 4 then
    return 0
  end
  call('HSET', record, 'indexed', time)
  return 1
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
