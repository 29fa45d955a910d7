-- Add to what an account has used in a day. No number falls below 0.
-- Sent whole, in pipelines, so it is short, and shared.lua does not stand before it.
-- KEYS: the hash. ARGV: ttl in s, most models, model, input, cached, output, reasoning, tasks.
-- Returns the tokens used, and 1 if there was nothing of the day before.
local key, model = KEYS[1], ARGV[3]
local new = 1 - redis.call('EXISTS', key)
if redis.call('HEXISTS', key, 'i|' .. model) == 0 then
  if tonumber(redis.call('HGET', key, 'models') or 0) >= tonumber(ARGV[2]) then
    model = 'other'
  else
    redis.call('HINCRBY', key, 'models', 1)
  end
  redis.call('HINCRBY', key, 'i|' .. model, 0)
end
local function add(field, amount)
  local before = tonumber(redis.call('HGET', key, field) or 0)
  local after = math.max(0, before + tonumber(amount))
  if after ~= before then
    redis.call('HSET', key, field, string.format('%.0f', after))
  end
  return after - before
end
local used = add('i|' .. model, ARGV[4]) + add('o|' .. model, ARGV[6])
add('c|' .. model, ARGV[5])
add('r|' .. model, ARGV[7])
add('t|' .. model, ARGV[8])
add('used', used)
redis.call('EXPIRE', key, ARGV[1])
return {tonumber(redis.call('HGET', key, 'used') or 0), new}
