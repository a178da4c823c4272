-- Blocks of keys and tenants (blocks_room.h), for all instances at once. Of two orders
-- about the same key the newer counts, in whatever sequence they arrive; of two from the
-- same millisecond the one that blocks. So to tell anything twice changes nothing.
--
-- KEYS[1]  the orders, "AT BLOCKED ..." by the name of what they are about; and "id",
--          which is another where this server has lost them, and "revision", a count of
--          changes
-- KEYS[2]  the names, each with the revision at which its order was the newest
-- ARGV[1]  the id that the caller knows, ARGV[2] and the revision up to which it has read
-- ARGV[3]  how many orders it takes at once
-- ARGV[4]  and up: names and orders, by turns, that the caller has to tell
--
-- Answers "ID FROM TO MORE\n" and the orders that became the newest after the revision
-- FROM (0 where the caller knows another id), up to TO; MORE is 1 where there are further
-- ones. Each is "LENGTH LENGTH\n" and the bytes of its name and of itself.
local bytes_max = 12000 -- of an answer, about: no call keeps the server busy for long
local orders, names = KEYS[1], KEYS[2]
local head = redis.call('HMGET', orders, 'id', 'revision')
local id, revision = head[1], tonumber(head[2]) or 0

local function text(number)
    return string.format('%.0f', number)
end

-- Either key may have been evicted: one is of no use without the other.
if not id or (revision > 0 and redis.call('EXISTS', names) == 0) then
    local time = redis.call('TIME')
    id, revision = time[1] .. '.' .. time[2], 0
    redis.call('DEL', orders, names)
    redis.call('HSET', orders, 'id', id)
end

local function is_newer(order, old)
    local at, blocked = string.match(order, '^(%d+) ([01]) ')
    local old_at, old_blocked = string.match(old or '', '^(%d+) ([01]) ')
    if not at or not old_at then
        return at ~= nil
    end
    at, old_at = tonumber(at), tonumber(old_at)
    return at > old_at or (at == old_at and blocked > old_blocked)
end

for i = 4, #ARGV, 2 do
    if is_newer(ARGV[i + 1], redis.call('HGET', orders, ARGV[i])) then
        revision = revision + 1
        redis.call('HSET', orders, ARGV[i], ARGV[i + 1], 'revision', text(revision))
        redis.call('ZADD', names, text(revision), ARGV[i])
    end
end

local from, most = tonumber(ARGV[2]), tonumber(ARGV[3])
if ARGV[1] ~= id or from > revision then
    from = 0
end
local new = redis.call('ZRANGEBYSCORE', names, '(' .. text(from), '+inf', 'WITHSCORES',
                       'LIMIT', 0, most)
local to, answer, size = from, {}, 0
for i = 1, #new, 2 do
    local order = redis.call('HGET', orders, new[i])
    if size > bytes_max then
        break
    end
    to = tonumber(new[i + 1])
    if order then
        local whole = #new[i] .. ' ' .. #order .. '\n' .. new[i] .. order
        answer[#answer + 1], size = whole, size + #whole
    end
end
if #new == 0 then
    to = revision
end
local more = to < revision and '1' or '0'
return id .. ' ' .. text(from) .. ' ' .. text(to) .. ' ' .. more .. '\n' .. table.concat(answer)
