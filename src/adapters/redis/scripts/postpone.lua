-- Hold those of these slots of a counter longer that are still held.
-- KEYS: the slots, scored by when they end.
-- ARGV: ms to hold them, holder...
-- Returns 1.
local slots = KEYS[1]
local hold_ms = ARGV[1]
local first_holder = 2

local ending, scored = now() + hold_ms, {}
for index = first_holder, #ARGV do
  scored[#scored + 1] = ending
  scored[#scored + 1] = ARGV[index]
end
call('ZADD', slots, 'XX', unpack(scored))
call('PEXPIRE', slots, hold_ms)
return 1
