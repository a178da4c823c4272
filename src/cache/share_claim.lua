-- Whose purchase is it? The claim says so as long as its owner renews it; who asks
-- while it is another's is written down as one who waits, and the owner is told.
--   KEYS[1] the claim: token, channel of its owner, and a field for each that waits
--   KEYS[2] the result of the one before, for those who waited
--   ARGV[1] "take", "keep" (renew), "watch" (never take) or "leave" (wait no more)
--   ARGV[2] the purchase's token, new with each try to take it; ARGV[3] the channel of who asks
--   ARGV[4] who waits ("CHANNEL ID"); ARGV[5] for what: "s" the stream, "w" the whole
--   ARGV[6] how long a claim lasts, ms; ARGV[7] the token that is watched
-- Answers "O" (ours), "FMS TOKEN" (another's, for so long, with that token), "R..."
-- (over, and this is the result) or "N" (nobody's).
local mode, token, channel, me, wish, term, watched =
    ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local claim = redis.call('HMGET', KEYS[1], 'token', 'channel')
local takes = mode == 'take' or mode == 'keep'
if takes and (not claim[1] or claim[1] == token) then
    redis.call('HSET', KEYS[1], 'token', token, 'channel', channel)
    redis.call('PEXPIRE', KEYS[1], term)
    return 'O'
end
if mode == 'watch' and claim[1] ~= watched then
    local result = redis.call('GET', KEYS[2])
    if result and string.sub(result, 1, #watched) == watched then
        return 'R' .. string.sub(result, #watched + 1)
    end
end
if not claim[1] or mode == 'keep' then
    return 'N'
end
if mode == 'leave' then
    if redis.call('HDEL', KEYS[1], 'f:' .. me) == 1 then
        redis.call('PUBLISH', 'farthing:' .. claim[2], 'u' .. claim[1] .. me)
    end
    return 'N'
end
-- Said again with each look: so an owner knows who is still there.
redis.call('HSET', KEYS[1], 'f:' .. me, wish)
redis.call('PUBLISH', 'farthing:' .. claim[2], 'f' .. claim[1] .. wish .. me)
return 'F' .. string.format('%d', redis.call('PTTL', KEYS[1])) .. ' ' .. claim[1]
