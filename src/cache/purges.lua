-- Purges of the cache by tags (purges.h), for all instances at once. Every mark is a
-- member of one sorted set, and its number the score: so what is new since a number
-- is one range.
--
-- KEYS[1]  the marks
-- ARGV[1]  the latest number that the caller has seen, from here
-- ARGV[2]  marks that the caller knows, "NUMBER NAME" a line, where this server may
--          have lost some: it may have been restarted, or be another one
-- ARGV[3]  names of marks that are made now, one a line
-- ARGV[4]  how many marks are kept, and ARGV[5] how many more go when it is one too many
--
-- Answers with the latest number, and in a line each the marks that are newer than
-- ARGV[1], as in ARGV[2]. Twice the same purge has a later number the second time,
-- and purges no more than what was asked for before it.
--
-- Numbers are microseconds of this server's clock, but each higher than all before,
-- so that a server which lost some does not give them again. They are below 2^53.
local marks = KEYS[1]
local all = '000000000000000000'

local function text(number)
    return string.format('%.0f', number)
end

local newest = redis.call('ZREVRANGE', marks, 0, 0, 'WITHSCORES')
local latest = newest[2] and tonumber(newest[2]) or 0

local function mark(name, number)
    redis.call('ZADD', marks, 'GT', text(number), name)
    latest = math.max(latest, number)
    if name == all then
        redis.call('ZREMRANGEBYSCORE', marks, '-inf', '(' .. text(number))
    end
end

for number, name in string.gmatch(ARGV[2], '(%d+) (%w+)\n') do
    mark(name, tonumber(number))
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
for name in string.gmatch(ARGV[3], '(%w+)\n') do
    mark(name, math.max(latest + 1, now, tonumber(ARGV[1]) + 1))
end

local most = tonumber(ARGV[4])
local count = redis.call('ZCARD', marks)
if count > most then
    local oldest = redis.call('ZPOPMIN', marks, count - most + tonumber(ARGV[5]))
    mark(all, tonumber(oldest[#oldest]))
end

local answer = {text(latest)}
local new = redis.call('ZRANGEBYSCORE', marks, '(' .. ARGV[1], '+inf', 'WITHSCORES')
for i = 1, #new, 2 do
    answer[#answer + 1] = text(tonumber(new[i + 1])) .. ' ' .. new[i]
end
return table.concat(answer, '\n') .. '\n'
