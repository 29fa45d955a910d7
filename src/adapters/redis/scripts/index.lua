-- Stands before the scripts that write the index of an owner's tasks (index_*.lua), behind shared.lua.
-- KEYS of each of them: entries, created, unfinished, ended, expiries (keys.py).
local entries, created, unfinished, ended, expiries = unpack(KEYS)
local LAST = ':last' -- the field of the highest cursor that was given. No id of a task begins so

-- Returns whether an entry says that its task has ended.
local function is_noted(entry)
  return string.sub(entry, 17, 17) ~= '-'
end

-- Returns the member of a task in `created` and `unfinished`.
local function member_of(id, entry)
  return string.sub(entry, 1, 15) .. ':' .. id
end

local function remove(id)
  local entry = call('HGET', entries, id)
  if entry then
    local member = member_of(id, entry)
    call('HDEL', entries, id)
    call('ZREM', created, member)
    call('ZREM', unfinished, member)
    call('ZREM', ended, id)
  end
  call('ZREM', expiries, id)
end

-- Put a task that is not in the index.
local function put(id, entry, expires)
  call('HSET', entries, id, entry)
  call('ZADD', created, 0, member_of(id, entry))
  call('ZADD', expiries, expires, id)
end

-- The end of each script: drop up to two entries that have expired, and let all keys expire with the
-- last entry. `entries` lives until the clock has passed the last cursor, so that none is given twice.
local function finish(time)
  for _, id in ipairs(call('ZRANGE', expiries, '-inf', time, 'BYSCORE', 'LIMIT', 0, 2)) do
    remove(id)
  end
  local highest = tonumber(call('ZRANGE', expiries, 0, 0, 'REV', 'WITHSCORES')[2] or 0)
  local last = tonumber(call('HGET', entries, LAST) or 0)
  call('PEXPIREAT', entries, math.max(highest, last + 1))
  for index = 2, #KEYS do
    call('PEXPIREAT', KEYS[index], highest)
  end
  return 1
end
