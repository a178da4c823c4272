-- Who is there, and what time it is: an instance says each second that it lives,
-- and those that have not for five are no longer counted.
--   KEYS[1] the instances, each with when it was last heard of (microseconds)
--   ARGV[1] the instance; ARGV[2] "here" or "gone"
-- Answers "MICROSECONDS COUNT": Redis's clock (Unix), and how many there are.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if ARGV[2] == 'here' then
    redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
else
    redis.call('ZREM', KEYS[1], ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - 5000000))
redis.call('PEXPIRE', KEYS[1], 60000)
return string.format('%.0f %d', now, redis.call('ZCARD', KEYS[1]))
