-- The next bytes of a stream that others follow. Entries are numbered, so that one
-- that was lost is missed; one that comes a second time, or too late, is refused.
--   KEYS[1] the claim, KEYS[2] the stream
--   ARGV[1] the token; ARGV[2] the entry's number; ARGV[3] what is known before the
--   first byte (with entry 1); ARGV[4] the bytes; ARGV[5] for how long it stays, ms
--   ("0": no longer, nobody follows it any more)
if ARGV[5] == '0' then
    redis.call('DEL', KEYS[2])
    return 'O'
end
redis.pcall('XADD', KEYS[2], ARGV[2] .. '-1', 'h', ARGV[3], 'b', ARGV[4], 'e', '')
redis.call('PEXPIRE', KEYS[2], ARGV[5])
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then
    return 'N'
end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
    local where, id = string.match(all[i], '^f:(%S+) (%S+)$')
    if where and all[i + 1] == 's' then
        redis.call('PUBLISH', 'farthing:' .. where, 'm' .. id)
    end
end
return 'O'
