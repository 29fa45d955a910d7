-- Write a transition that was decided on a record as it was read, if it still is so.
-- KEYS: record, log, lease, awaited, key that must be gone...
-- ARGV: expected status, expected attempt, expected writer ('' for any), events that the log must
--   hold at least, task, status, attempt, writer, lease in ms (0 for none), ttl in ms, patience in
--   ms (0 once the task has ended), channel, epoch, event...
-- Answers the length of the log, or 0 if the record is another by now, or held.
local record = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'writer', 'epochs')
if record[1] ~= ARGV[1] or record[2] ~= ARGV[2] or (ARGV[3] ~= '' and record[3] ~= ARGV[3]) then
  return 0
end
local before = redis.call('LLEN', KEYS[2])
if before < tonumber(ARGV[4]) then
  return forsake()
end
for number = 5, #KEYS do
  if redis.call('EXISTS', KEYS[number]) == 1 then
    return 0
  end
end
-- Epochs of which the log holds nothing any more are left out: its list may have been evicted.
local epochs, last = {}, '-'
for first, epoch in string.gmatch(record[4], '(%d+)-(%w+)') do
  if tonumber(first) <= before then
    epochs[#epochs + 1], last = first .. '-' .. epoch, epoch
  end
end
epochs[#epochs + 1] = (before + 1) .. '-' .. ARGV[13]
redis.call('HSET', KEYS[1], 'task', ARGV[5], 'status', ARGV[6], 'attempt', ARGV[7],
  'writer', ARGV[8], 'epoch', ARGV[13], 'epochs', table.concat(epochs, ' '))
if ARGV[9] == '0' then
  redis.call('DEL', KEYS[3])
else
  redis.call('SET', KEYS[3], ARGV[7], 'PX', ARGV[9])
end
if ARGV[11] == '0' then
  redis.call('DEL', KEYS[4])
else
  redis.call('SET', KEYS[4], '', 'PX', ARGV[11])
end
local length = redis.call('RPUSH', KEYS[2], unpack(ARGV, 14))
redis.call('PEXPIRE', KEYS[1], ARGV[10])
redis.call('PEXPIRE', KEYS[2], ARGV[10])
redis.call(publish, ARGV[12],
  last .. ' ' .. ARGV[13] .. ' ' .. (before + 1) .. ' [' .. table.concat(ARGV, ',', 14) .. ']')
return length
