-- Read what an idempotency key is bound to.
-- KEYS: the key.
-- Returns the value ('' if the key is free), and the time in ms.
local key = KEYS[1]

return {call('GET', key) or '', now()}
