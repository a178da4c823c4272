-- A purchase is over: its result is left for those who wait, the stream is ended,
-- the claim is given back, and they are told.
--   KEYS[1] the claim, KEYS[2] the result, KEYS[3] the stream
--   ARGV[1] the token; ARGV[2] the result (empty: none); ARGV[3] for how long it stays, ms
--   ARGV[4] the number of the stream's last entry ("0": no stream); ARGV[5] "1": it is whole
-- Nothing where the claim is another's by now: who waits then waits for that one.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then
    return 'N'
end
if #ARGV[2] > 0 then
    redis.call('SET', KEYS[2], ARGV[1] .. ARGV[2], 'PX', ARGV[3])
end
if ARGV[4] ~= '0' then
    redis.pcall('XADD', KEYS[3], ARGV[4] .. '-1', 'h', '', 'b', '', 'e', ARGV[5])
    redis.call('PEXPIRE', KEYS[3], ARGV[3])
end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    local where, id = string.match(field, '^f:(%S+) (%S+)$')
    if where then
        redis.call('PUBLISH', 'farthing:' .. where, 'e' .. id)
    end
end
redis.call('DEL', KEYS[1])
return 'O'
