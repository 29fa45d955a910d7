-- Add to a counter's current window, unless the sum would exceed the limit.
-- KEYS: the tally.
-- ARGV: amount, limit (-1: none), window in ms.
-- Returns 1 if it was granted, else 0; what is used; ms left of the window.
local tally = KEYS[1]
local amount, limit, window_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local used = tonumber(call('GET', tally) or 0)
local granted = limit < 0 or used + amount <= limit
if granted and amount > 0 then
  used = call('INCRBY', tally, amount)
  if call('PTTL', tally) < 0 then
    call('PEXPIRE', tally, window_ms)
  end
end
local left_ms = call('PTTL', tally)
return {granted and 1 or 0, used, left_ms < 0 and window_ms or left_ms}
