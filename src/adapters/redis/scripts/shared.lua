-- Stands before each of the other scripts; `publish` stands before this.
-- The store lost the end of this log (a failover, say): what readers saw of it is no longer true,
-- so it counts as another log from here on, and whoever wrote it has lost it.
local function forsake(epoch, length)
  redis.call('HSET', KEYS[1], 'writer', 0,
    'epoch', string.sub(redis.sha1hex(epoch .. length), 1, 16))
  redis.call('DEL', KEYS[3])
  return 0
end
