-- An Idempotency-Key is no longer held by this one; with the last it is gone.
--   KEYS[1] the key; ARGV[1] the holder
redis.call('HDEL', KEYS[1], 'h:' .. ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
    if string.sub(all[i], 1, 2) == 'h:' and tonumber(all[i + 1]) > now then
        return 'O'
    end
end
redis.call('DEL', KEYS[1])
return 'O'
