-- Read which tasks have ended, in the order of their cursors. (A script, since Upstash's SDK returns
-- scores in another form.)
-- KEYS: ended.
-- ARGV: the cursor behind which to begin, how many at most.
-- Returns ids and cursors in turn.
local ended = KEYS[1]
local since, count = ARGV[1], ARGV[2]

return call('ZRANGE', ended, '(' .. since, '+inf', 'BYSCORE', 'LIMIT', 0, count, 'WITHSCORES')
