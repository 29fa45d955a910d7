-- Note how an upstream calls the answer that it keeps for a live attempt.
-- KEYS: record, log, lease.
-- ARGV: fencing token, events that the log must hold at least, what to note as response (keys.py).
-- Returns 1, or 0 if the attempt may no longer write.
local record, log, lease = KEYS[1], KEYS[2], KEYS[3]
local fence, logged, response = ARGV[1], tonumber(ARGV[2]), ARGV[3]

if call('HGET', record, 'writer') ~= fence then
  return 0
end
if call('LLEN', log) < logged then
  return end_attempt(record, lease)
end
call('HSET', record, 'response', response)
return 1
