-- A client's Idempotency-Key is in flight for as long as anybody holds it, on
-- whichever instance; who holds it says so again before the term is over.
--   KEYS[1] the key: fingerprint and purchase of who came first, and a field for each holder
--   ARGV[1] the holder; ARGV[2] fingerprint; ARGV[3] the purchase; ARGV[4] the term, ms
-- Answers "1" (nobody else holds it), "2" and the purchase of who came first (others
-- do, and asked the same), or "0" (they asked something else; it is not held).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local mine, others, print, purchase = 'h:' .. ARGV[1], false, nil, nil
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
    if all[i] == 'print' then
        print = all[i + 1]
    elseif all[i] == 'purchase' then
        purchase = all[i + 1]
    elseif all[i] ~= mine then
        if tonumber(all[i + 1]) > now then
            others = true
        else
            redis.call('HDEL', KEYS[1], all[i])
        end
    end
end
if others and print ~= ARGV[2] then
    return '0'
end
if not others then
    redis.call('HSET', KEYS[1], 'print', ARGV[2], 'purchase', ARGV[3])
end
redis.call('HSET', KEYS[1], mine, string.format('%.0f', now + tonumber(ARGV[4])))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if others then
    return '2' .. purchase
end
return '1'
