-- One limit, as all instances keep it together: the debts of both rates, and who
-- has how many of the places.
--   KEYS[1] a hash: "requests" and "tokens", each "DEBT PAID AT" (units; how much
--     of the next unit has run off, in 60 millionths; microseconds), and a record
--     for each instance, in the order of the constants below
--   ARGV 1 the instance  2 number of the call  3 term of places (ms)  4 instances
--     5..12 requests, 13..20 tokens: limit (0: none), granted and charged as the
--     instance knows them, debt as it knows it (where nobody else does), what it
--     needs, the least of it that is of use, what it would keep besides, charged
--     21 places (0: no limit)  22 those it has  23 needs  24 would keep besides
-- What an instance was granted and what it was charged are sums since its start,
-- and calls are numbered: whether one is carried out once, twice, late or never
-- is the same to what it owes.
-- Answers "DEBT PAID GRANTED" for requests, the same for tokens, then PLACES (that
-- it has now), YIELD (of these it gives back as they become free) and WAITING
-- (how many others wait for). Nothing: a newer call came before.
-- Debts are whole numbers and exact as long as limit times microseconds is below
-- 2^52 (a million a minute, untouched for an hour); above they run off a
-- billionth of a millionth slower than they should.
local UNIT, EXACT, HOUR = 60000000, 2 ^ 52, 3600000000
local DEBT_MINUTES = 60 -- as in rate.c
local KEPT_MS = 120000  -- records of those who are gone; debts have run off by then
local WAIT_MS = 1000    -- who said that long ago that he waits does not any more
local SEEN, NUMBER, PLACES, WANTED, SINCE, GOT, RATES = 1, 2, 3, 4, 5, 6, 6
local RATE_FIELDS = 2   -- granted, charged; behind the others, for each rate
local FIELDS = RATES + 2 * RATE_FIELDS

local key, me = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local now_ms = math.floor(now / 1000)

local function arg(i)
    return tonumber(ARGV[i])
end

local known = redis.call('HGET', key, me)
local record = numbers(known, FIELDS)
local number, term, instances = arg(2), arg(3), arg(4)
if known and number <= record[NUMBER] then
    return ''
end

-- ------------------------------------------------------------------------ rates

local function run_off(field, limit, debt)
    local text = redis.call('HGET', key, field)
    local rate = text and numbers(text, 3) or {debt, 0, now}
    local elapsed = math.max(0, math.min(HOUR, now - rate[3]))
    local earned = elapsed * limit + rate[2]
    if earned > EXACT then
        earned = math.floor(earned * (1 - 2 ^ -50))
    end
    local paid = math.fmod(earned, UNIT)
    debt = rate[1] - (earned - paid) / UNIT
    if debt <= 0 then
        return 0, 0
    end
    return debt, paid
end

local longest_ms = 0

local function take(which, field)
    local base, at = 5 + 8 * which, RATES + RATE_FIELDS * which
    local limit = arg(base)
    local known_granted, known_charged = arg(base + 1), arg(base + 2)
    local need, least, more, charged = arg(base + 4), arg(base + 5), arg(base + 6), arg(base + 7)
    local granted = known and record[at + 1] or known_granted
    local charged_before = known and record[at + 2] or known_charged
    if limit <= 0 then
        record[at + 1], record[at + 2] = granted, charged
        return 0, 0, granted
    end
    local debt, paid = run_off(field, limit, arg(base + 3))
    debt = math.min(limit * DEBT_MINUTES, debt + charged - charged_before)
    if debt <= 0 then
        debt, paid = 0, 0
    end
    local free = limit - debt
    local lacks = known_granted + need - granted
    local grant = 0
    if lacks > 0 and free >= math.min(least, lacks) then
        grant = math.min(lacks, free)
    end
    if grant >= lacks then -- in full, so it may have some to keep
        local keep = known_granted + need + more - granted - grant
        grant = grant + math.max(0, math.min(keep, math.floor((free - grant) / (2 * instances))))
    end
    debt = debt + grant
    granted = granted + grant
    record[at + 1], record[at + 2] = granted, charged
    redis.call('HSET', key, field, words({debt, paid, now}))
    longest_ms = math.max(longest_ms, math.ceil(debt / limit * 60000))
    return debt, paid, granted
end

-- ----------------------------------------------------------------------- places

-- Those of the others who are alive, and those who wait.
local function find_others()
    local others, all = {}, redis.call('HGETALL', key)
    for i = 1, #all, 2 do
        local name = all[i]
        if name ~= me and name ~= 'requests' and name ~= 'tokens' then
            local r = numbers(all[i + 1], FIELDS)
            if r[SEEN] > now_ms + 1000 then -- the clock was set back
                r[SEEN] = now_ms
                redis.call('HSET', key, name, words(r))
            end
            if r[SEEN] + KEPT_MS < now_ms then
                redis.call('HDEL', key, name)
            else
                if r[SEEN] + term <= now_ms then
                    r[PLACES] = 0
                end
                if r[SEEN] + WAIT_MS <= now_ms then
                    r[WANTED] = 0
                end
                others[#others + 1] = r
            end
        end
    end
    return others
end

-- Of what is free, how many may this one have that has `have` and needs `need`?
-- Up to an even share it comes before those that have more, and after those who
-- have nothing and came before; above, after all who are below theirs.
local function places_for(others, have, need, free, fair)
    local ahead, short = 0, 0
    for _, r in ipairs(others) do
        if r[WANTED] > 0 and r[PLACES] < fair then
            short = short + math.min(r[WANTED], fair - r[PLACES])
        end
        if r[WANTED] > 0 and r[PLACES] == 0 and (have > 0 or r[SINCE] < record[SINCE]) then
            ahead = ahead + 1
        end
    end
    local within = math.max(0, math.min(need, fair - have, free - ahead))
    return within + math.max(0, math.min(need - within, free - within - short))
end

-- How many of its places has this one to give back as they become free? So many
-- of what it has above an even share as the others lack. Where there are fewer
-- places than instances nobody has above: then those who had theirs longest, but
-- not one that has it since this call only.
local function find_yield(others, places, given, free, fair, concurrency)
    local short, above, starving, longer, all = 0, math.max(0, places - fair), 0, 0, places
    for _, r in ipairs(others) do
        if r[WANTED] > 0 and r[PLACES] < fair then
            short = short + math.min(r[WANTED], fair - r[PLACES])
            starving = starving + (r[PLACES] == 0 and 1 or 0)
        end
        above = above + math.max(0, r[PLACES] - fair)
        longer = longer + (r[PLACES] > 0 and r[GOT] < record[GOT] and 1 or 0)
        all = all + r[PLACES]
    end
    local yield = 0
    if all > concurrency then -- the limit was lowered, or instances were on their own
        yield = math.min(places, math.ceil((all - concurrency) * places / all))
    end
    short = short - math.max(0, free)
    if short > 0 and places > fair then
        yield = math.max(yield, math.min(places - fair, math.ceil(short * (places - fair) / above)))
    elseif above == 0 and places > given and longer < starving - math.max(0, free) then
        yield = math.max(yield, 1)
    end
    return yield
end

local function share_places()
    local concurrency, have, need, more = arg(21), arg(22), arg(23), arg(24)
    if concurrency <= 0 then
        record[PLACES], record[WANTED] = 0, 0
        return 0, 0, 0
    end
    local others, free, waiting = find_others(), concurrency - have, 0
    local claimants = have + need > 0 and 1 or 0
    for _, r in ipairs(others) do
        free = free - r[PLACES]
        waiting = waiting + r[WANTED]
        claimants = claimants + (r[PLACES] + r[WANTED] > 0 and 1 or 0)
    end
    local fair = math.max(1, math.floor(concurrency / math.max(1, claimants)))
    if record[WANTED] == 0 or record[PLACES] > 0 or record[SEEN] + WAIT_MS <= now_ms then
        record[SINCE] = now
    end
    local given = places_for(others, have, need, free, fair)
    if given == need and waiting == 0 then
        given = given + math.max(0, math.min(more, math.floor((free - given) / (2 * instances))))
    end
    local places = have + given
    if have == 0 or record[PLACES] == 0 then
        record[GOT] = now
    end
    record[PLACES], record[WANTED] = places, math.max(0, need - given)
    return places, find_yield(others, places, given, free - given, fair, concurrency), waiting
end

-- -------------------------------------------------------------------------------

if not known then -- a newcomer sweeps, also where nobody counts places
    find_others()
end
local debt, paid, granted = take(0, 'requests')
local token_debt, token_paid, token_granted = take(1, 'tokens')
local places, yield, waiting = share_places()
record[SEEN], record[NUMBER] = now_ms, number
redis.call('HSET', key, me, words(record))
redis.call('PEXPIRE', key, longest_ms + KEPT_MS + term)
return words({debt, paid, granted, token_debt, token_paid, token_granted, places, yield, waiting})
