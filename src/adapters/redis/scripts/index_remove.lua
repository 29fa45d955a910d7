-- Remove a task.
-- ARGV: id, how its entry must begin ('' for any).
-- Returns 1.
local id, beginning = ARGV[1], ARGV[2]

local there = call('HGET', entries, id)
if there and string.sub(there, 1, #beginning) == beginning then
  remove(id)
end
return finish(now())
