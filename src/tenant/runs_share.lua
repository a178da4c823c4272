-- One run, of whose requests several instances serve some.
--   KEYS[1] a hash: a record for each instance, "NUMBER STEPS ATTEMPTS TOKENS" (sums
--     since its start) and the numbers of steps that it was granted but has not
--     counted yet; "past", the same of what ran before all of them; "started"
--   ARGV 1 the instance  2 number of the call  3 steps  4 attempts  5 tokens of this
--     instance  6 ms since it knows of the run  7 most steps (below 0: any number)
--     8 "1": one step more is asked for, by this call's number  9..11 steps, attempts
--     and tokens of the past, where this instance knows some  12.. the numbers that
--     it has asked for and not counted yet
-- An older call than one that came before changes nothing but its own step.
-- Answers "STEPS ATTEMPTS TOKENS" of all others, ms since the run began, 1 or 0 for
-- the step, and the steps of all without it.
local KEPT_MS = 86400000 -- as in runs_room.h: idle for so long, a run is over
local key, me = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local now = math.floor((time[1] * 1000000 + time[2]) / 1000)

local number = tonumber(ARGV[2])
local past = {0, tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])}
if past[2] + past[3] + past[4] > 0 and redis.call('EXISTS', key) == 0 then
    redis.call('HSET', key, 'past', words(past))
end

local others, mine = {0, 0, 0}, {0, 0, 0, 0}
local started = now - tonumber(ARGV[6])
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do
    local name, record = all[i], numbers(all[i + 1], 4)
    if name == 'started' then
        started = math.min(started, record[1])
    elseif name == me then
        mine = record
    else
        for k = 1, 3 do
            others[k] = others[k] + record[k + 1]
        end
        others[1] = others[1] + #record - 4
    end
end

local function is_granted(list, wanted)
    for i = 5, #list do
        if list[i] == wanted then
            return true
        end
    end
    return false
end

if number > mine[1] then
    local newer = {number, tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])}
    for i = 12, #ARGV do
        if is_granted(mine, tonumber(ARGV[i])) then
            newer[#newer + 1] = tonumber(ARGV[i])
        end
    end
    mine = newer
end
local most, used, step = tonumber(ARGV[7]), others[1] + mine[2] + #mine - 4, 0
if ARGV[8] == '1' and (most < 0 or used < most) then
    mine[#mine + 1] = number
    step = 1
end
redis.call('HSET', key, me, words(mine))
redis.call('HSET', key, 'started', words({started}))
redis.call('PEXPIRE', key, KEPT_MS)
return words({others[1], others[2], others[3], math.max(0, now - started), step, used})
