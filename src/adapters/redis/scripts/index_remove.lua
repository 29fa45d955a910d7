-- Remove a task.
-- ARGV: id, how its entry must begin, the owner's channel.
-- Returns 1.
local id, beginning, owner_channel = ARGV[1], ARGV[2], ARGV[3]

local there = call('HGET', entries, id)
if there and string.sub(there, 1, #beginning) == beginning then
  remove(id)
  notify(owner_channel, id)
end
return finish(now())
