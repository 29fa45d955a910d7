-- Take away the right to write to a task, so that its text stands still.
-- KEYS: record.
-- ARGV: expected status, expected attempt.
-- Returns 1, or 0 if the record is another by now.
local record = KEYS[1]
local expected_status, expected_attempt = ARGV[1], ARGV[2]

local found = call('HMGET', record, 'status', 'attempt')
if found[1] ~= expected_status or found[2] ~= expected_attempt then
  return 0
end
call('HSET', record, 'writer', 0)
return 1
