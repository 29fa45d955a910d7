-- Hold places longer, of an account, that are still held.
-- KEYS: the places, by when they end.  ARGV: ms to hold them, holder...
local ending, places = now() + ARGV[1], {}
for number = 2, #ARGV do
  places[#places + 1] = ending
  places[#places + 1] = ARGV[number]
end
redis.call('ZADD', KEYS[1], 'XX', unpack(places))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
