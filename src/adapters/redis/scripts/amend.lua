-- Write the record of a task that has ended anew, if it still is as it was read.
-- KEYS: record.
-- ARGV: state as it was read, state.
-- Returns 1 if it was written, else 0.
local record = KEYS[1]
local expected, state = ARGV[1], ARGV[2]

if call('HGET', record, 'state') ~= expected then
  return 0
end
call('HSET', record, 'state', state)
return 1
