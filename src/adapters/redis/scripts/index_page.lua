-- Read entries, the newest first.
-- KEYS: created or unfinished, entries, expiries.
-- ARGV: the highest member and the lowest, as ZRANGE takes them, how many at most (1,000).
-- Returns members, and their entries ('' for those that have expired).
local members_key, entries, expiries = KEYS[1], KEYS[2], KEYS[3]
local highest, lowest, count = ARGV[1], ARGV[2], ARGV[3]

local members = call('ZRANGE', members_key, highest, lowest, 'BYLEX', 'REV', 'LIMIT', 0, count)
if #members == 0 then
  return {members, {}}
end
local ids = {}
for index, member in ipairs(members) do
  ids[index] = string.sub(member, 17)
end
local found, expires = call('HMGET', entries, unpack(ids)), call('ZMSCORE', expiries, unpack(ids))
local time = now()
for index = 1, #ids do
  if not found[index] or tonumber(expires[index] or 0) <= time then
    found[index] = ''
  end
end
return {members, found}
