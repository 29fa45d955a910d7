-- Stands before each of the other scripts; `publish` stands before this.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
-- The store lost the end of this log (a failover), or all of it (an eviction): who wrote it has lost it, and the next
-- attempt may begin at once.
local function forsake()
  redis.call('HSET', KEYS[1], 'writer', 0)
  redis.call('DEL', KEYS[3])
  return 0
end
