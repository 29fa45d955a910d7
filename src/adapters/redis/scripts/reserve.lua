-- Bind an idempotency key, unless it is bound.
-- KEYS: the key.  ARGV: what to bind it to, time to live in s.
-- Answers what it is bound to.
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'GET', 'EX', ARGV[2]) or ARGV[1]
