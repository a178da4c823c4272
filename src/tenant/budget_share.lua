-- Budgets as all instances keep them together. A counter is one hash; in each window
-- of it an instance has a lease: a ceiling up to which it may spend by itself. What is
-- free is the amount, less what all have spent, less what the others may still spend.
--   KEYS     the counters, of one tenant
--   ARGV[1]  "report": what the instance spent and what ceilings it wants; or "deed":
--            what an operator does to the first counter; or "settle": what the rows say
--            that an instance that crashed has spent
--   ARGV[2]  the instance  [3] number of the call  [4] term of a lease (ms)  [5] for how
--            long nothing is given after Redis may have forgotten something (ms)
--   then for each counter one text of words: LEASE (the instance's, with a number of its
--     own for each counter that it makes anew), HEARD (number of the last call whose
--     answer it had), AMOUNT, SHAPE (of its windows), CARRY (until when older windows count
--     where the shape has changed), TTL (of a total, ms; 0: none), FOLD (1: who lives comes
--     by each day), FRESH (1: Redis may have forgotten just now), SHARE (headroom is at most
--     this part of what is free), the number of windows, and for each, that of now first:
--     START:END, UNTIL (it counts until then), SPENT, HELD (ceiling that it goes by),
--     LEAST (of any use), NEED (of those who wait), WANTED (with headroom), and what it was
--     told last: CALL (its number), BASE, RESET, TOTAL, OPEN
--   for a deed at last: its name, what ("freeze", "thaw", "reset", "top_up"), an amount
--   to settle at last: the instance, and the sum of its rows in the window
-- All that an instance says is cumulative, calls are numbered, deeds have a name: whether
-- one is carried out once, twice or late is the same.
-- A lease that was not renewed counts as spent: somebody died. The instance that finds it
-- is told so until it has heard it; the owner, when it comes back, gets it back and is
-- told that, too. What a window was spent in all is `base` (of leases that were folded
-- away, less what an operator forgot) and what the leases say.
-- Redis may come back with less than it knew: then it does not know an instance's last
-- call that it has answered. What instances spent and hold they say themselves; of who is
-- gone, each says what it was told last, and the highest is kept as `floor`. For HOLD
-- nothing new is given; then what nobody has claimed of the floor counts as spent for good.
-- What is lost is what nobody alive was told: the last second or so of an instance that
-- died while Redis lost its memory; and who cannot reach Redis for longer than HOLD is
-- counted twice, which is safe.
-- Answers a line: Redis's clock (ms); and for each counter one: FROZEN HOLDING EXTRA
-- RECOVERED SPENT OPEN (both of others, in all windows that count), the number of windows,
-- for each CEILING BASE RESET TOTAL OPEN; the number of recoveries, for each START:END
-- AMOUNT (below 0: given back).
local FOREVER, DAY = 9000000000000000, 86400000
local FOLD_MS = 2 * DAY
local DEEDS = 8 -- names that are remembered
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local mode, me = ARGV[1], ARGV[2]
local number, term, hold_ms = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

-- Money goes up to 2^63 and Lua's numbers are exact to 2^53: {hi, lo} is hi * 10^9 + lo,
-- with lo from 0 to 10^9 - 1.
local BILLION = 1000000000
local ZERO = {0, 0}

local function money(text)
    local below = text:sub(1, 1) == '-'
    local digits = below and text:sub(2) or text
    local hi = #digits > 9 and tonumber(digits:sub(1, -10)) or 0
    local lo = tonumber(digits:sub(-9))
    if below and lo > 0 then
        return {-hi - 1, BILLION - lo}
    end
    return {below and -hi or hi, lo}
end

local function add(a, b)
    local hi, lo = a[1] + b[1], a[2] + b[2]
    if lo >= BILLION then
        return {hi + 1, lo - BILLION}
    end
    return {hi, lo}
end

local function sub(a, b)
    local hi, lo = a[1] - b[1], a[2] - b[2]
    if lo < 0 then
        return {hi - 1, lo + BILLION}
    end
    return {hi, lo}
end

local function less(a, b)
    return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2])
end

local function most(a, b)
    return less(a, b) and b or a
end

local function least(a, b)
    return less(b, a) and b or a
end

local function part(a, n) -- of what is not below 0
    local hi = math.floor(a[1] / n)
    return {hi, math.floor(((a[1] - hi * n) * BILLION + a[2]) / n)}
end

local function text(a)
    local sign, hi, lo = '', a[1], a[2]
    if hi < 0 then
        sign = '-'
        hi, lo = -hi, lo
        if lo > 0 then
            hi, lo = hi - 1, BILLION - lo
        end
    end
    if hi > 9223372036 or (hi == 9223372036 and lo > 854775807) then
        return sign .. '9223372036854775807'
    end
    if hi > 0 then
        return string.format('%s%.0f%09.0f', sign, hi, lo)
    end
    return string.format('%s%.0f', sign, lo)
end

local function whole(n)
    return string.format('%.0f', n)
end

local function words(line)
    local out = {}
    for word in line:gmatch('%S+') do
        out[#out + 1] = word
    end
    return out
end

-- ------------------------------------------------------------------- the hash

local function window_of(h, id)
    local w = h.windows[id]
    if w == nil then
        local from, to = id:match('^(%-?%d+):(%d+)$')
        w = {id = id, from = tonumber(from), to = tonumber(to), till = 0, carry = 0, base = ZERO,
             recovered = ZERO, extra = ZERO, reset = 0, floor = ZERO, leases = {}}
        h.windows[id] = w
    end
    return w
end

local function load(key)
    local h = {key = key, windows = {}, records = {}, plain = {}}
    local flat = redis.call('HGETALL', key)
    for i = 1, #flat, 2 do
        local field, v = flat[i], nil
        local kind, rest = field:sub(1, 2), field:sub(3)
        if kind == 'w:' then
            local w = window_of(h, rest)
            v = words(flat[i + 1])
            w.till, w.base, w.recovered = tonumber(v[1]), money(v[2]), money(v[3])
            w.extra, w.reset, w.floor = money(v[4]), tonumber(v[5]), money(v[6])
            w.carry = tonumber(v[7])
        elseif kind == 'l:' then
            local id, name = rest:match('^([^:]+:[^:]+):(.+)$')
            v = words(flat[i + 1])
            window_of(h, id).leases[name] = {
                spent = money(v[1]), ceiling = money(v[2]), ends = tonumber(v[3]),
                reaped = money(v[4]), number = tonumber(v[5]), at = tonumber(v[6])}
        elseif kind == 'r:' then
            v = words(flat[i + 1])
            h.records[field] = {id = v[1], amount = money(v[2]), who = v[3],
                                number = tonumber(v[4]), at = tonumber(v[5])}
        else
            h.plain[field] = flat[i + 1]
        end
    end
    h.hold = tonumber(h.plain.hold or '0')
    return h
end

local function save_window(h, w)
    redis.call('HSET', h.key, 'w:' .. w.id, table.concat({whole(w.till), text(w.base),
        text(w.recovered), text(w.extra), whole(w.reset), text(w.floor), whole(w.carry)}, ' '))
end

local function save_lease(h, w, name, l)
    redis.call('HSET', h.key, 'l:' .. w.id .. ':' .. name, table.concat({text(l.spent),
        text(l.ceiling), whole(l.ends), text(l.reaped), whole(l.number), whole(l.at)}, ' '))
end

local function set(h, field, value)
    h.plain[field] = value
    redis.call('HSET', h.key, field, value)
end

local function record(h, w, name, amount)
    local field = 'r:' .. w.id .. ':' .. name .. ':' .. whole(number)
    local r = {id = w.id, amount = amount, who = me, number = number, at = now}
    h.records[field] = r
    redis.call('HSET', h.key, field, table.concat({r.id, text(amount), me, whole(number),
        whole(now)}, ' '))
end

-- Windows that are long over go; totals never do.
local function forget(h)
    for id, w in pairs(h.windows) do
        if w.till < FOREVER and w.till + math.min(w.to - w.from, DAY) < now then
            for name in pairs(w.leases) do
                redis.call('HDEL', h.key, 'l:' .. id .. ':' .. name)
            end
            redis.call('HDEL', h.key, 'w:' .. id)
            h.windows[id] = nil
        end
    end
end

local function expire(h, ttl)
    local at = 0
    for _, w in pairs(h.windows) do
        at = math.max(at, w.till >= FOREVER and FOREVER or w.till + math.max(w.to - w.from, DAY))
    end
    if h.plain.frozen == '1' or (at >= FOREVER and ttl == 0) then
        redis.call('PERSIST', h.key)
    else
        at = at >= FOREVER and now + ttl or math.max(at, now + DAY)
        redis.call('PEXPIREAT', h.key, whole(at))
    end
end

-- --------------------------------------------------------------------- figures

local function total(w)
    local sum = w.base
    for _, l in pairs(w.leases) do
        sum = add(sum, l.spent)
    end
    return sum
end

local function open(w, but)
    local sum = ZERO
    for name, l in pairs(w.leases) do
        if name ~= but then
            sum = add(sum, sub(l.ceiling, l.spent))
        end
    end
    return sum
end

-- Does v count in the budget when w is the window of now? A fixed one only in itself,
-- unless it was carried along; parts of a sliding one until they are out.
local function counts(v, w)
    local beside = math.max(v.carry, v.till > v.to and v.till or 0)
    return v == w or beside > math.max(now, w.from)
end

local function sums(h, w, mine)
    local s = {extra = ZERO, recovered = ZERO, spent = ZERO, open = ZERO, own_open = ZERO,
               own_spent = ZERO}
    for _, v in pairs(h.windows) do
        if counts(v, w) then
            local l = v.leases[mine]
            s.extra, s.recovered = add(s.extra, v.extra), add(s.recovered, v.recovered)
            s.spent, s.open = add(s.spent, total(v)), add(s.open, open(v, mine))
            if l ~= nil then
                s.own_spent = add(s.own_spent, l.spent)
                if v ~= w then
                    s.own_open = add(s.own_open, sub(l.ceiling, l.spent))
                end
            end
        end
    end
    return s
end

-- ------------------------------------------------------------------- who is gone

local function reap(h, mine)
    for _, w in pairs(h.windows) do
        for name, l in pairs(w.leases) do
            if name ~= mine and less(l.spent, l.ceiling) and l.ends <= now then
                local lost = sub(l.ceiling, l.spent)
                l.spent, l.reaped = l.ceiling, add(l.reaped, lost)
                w.recovered = add(w.recovered, lost)
                record(h, w, name, lost)
                save_lease(h, w, name, l)
                save_window(h, w)
            end
        end
    end
end

-- Who lives says what it spent of a total each day, at the least: others are gone.
local function fold(h, mine)
    for id, w in pairs(h.windows) do
        for name, l in pairs(w.leases) do
            if name ~= mine and l.at + FOLD_MS < now and not less(l.spent, l.ceiling) then
                w.base = add(w.base, l.spent)
                w.leases[name] = nil
                redis.call('HDEL', h.key, 'l:' .. id .. ':' .. name)
                save_window(h, w)
            end
        end
    end
end

-- The time in which instances could say what they have is over: the rest of what was
-- known is spent by who is gone.
local function end_hold(h)
    if h.hold == 0 or now < h.hold then
        return
    end
    for _, w in pairs(h.windows) do
        local claimed = add(total(w), open(w, nil))
        if less(claimed, w.floor) then
            w.base = add(w.base, sub(w.floor, claimed))
        end
        w.floor = ZERO
        save_window(h, w)
    end
    h.hold = 0
    set(h, 'hold', '0')
end

-- ---------------------------------------------------------------------- reports

-- With another shape, what counts now goes on counting until the new window's end.
local function take_shape(h, shape, carry, current)
    local known = h.plain.shape
    if known == shape then
        return
    end
    set(h, 'shape', shape)
    for id, w in pairs(h.windows) do
        if known ~= nil and id ~= current and w.till > now and w.carry < carry then
            w.carry, w.till = carry, math.max(w.till, carry)
            save_window(h, w)
        end
    end
end

local function read_report(block)
    local v = words(block)
    local q = {lease = v[1], heard = tonumber(v[2]), amount = money(v[3]), shape = v[4],
               carry = tonumber(v[5]), ttl = tonumber(v[6]), fold = v[7] == '1',
               fresh = v[8] == '1', share = tonumber(v[9]), windows = {}}
    local at = 11
    for i = 1, tonumber(v[10]) do
        q.windows[i] = {
            id = v[at], till = tonumber(v[at + 1]), spent = money(v[at + 2]),
            held = money(v[at + 3]), least = money(v[at + 4]), need = money(v[at + 5]),
            wanted = money(v[at + 6]), told = tonumber(v[at + 7]), base = money(v[at + 8]),
            reset = tonumber(v[at + 9]), total = money(v[at + 10]), open = money(v[at + 11])}
        at = at + 12
    end
    q.deed, q.what, q.given = v[at], v[at + 1], v[at + 2]
    return q
end

local function hold(h)
    h.hold = now + hold_ms
    set(h, 'hold', whole(h.hold))
end

-- Was this forgotten since it was told?
local function is_lost(said, l)
    return said.told > 0 and said.till > now and (l == nil or l.number < said.told)
end

local function remember(h, w, said)
    hold(h)
    if said.reset > w.reset then
        w.reset, w.base, w.floor = said.reset, said.base, ZERO
    elseif said.reset == w.reset then
        w.base = most(w.base, said.base)
    end
    if said.reset == w.reset then
        w.floor = most(w.floor, add(said.total, said.open))
    end
end

-- What the owner says of its lease; nil where a newer call came before.
local function take_said(h, q, said)
    local w = window_of(h, said.id)
    local l = w.leases[q.lease]
    if is_lost(said, l) then
        remember(h, w, said)
    end
    if l == nil then
        l = {spent = ZERO, ceiling = ZERO, ends = 0, reaped = ZERO, number = 0, at = 0}
        w.leases[q.lease] = l
    end
    w.till = math.max(w.till, said.till)
    if l.number > number then
        return w, l, false
    end
    if less(ZERO, l.reaped) then -- it was away, and what it did is known now
        record(h, w, q.lease, sub(ZERO, l.reaped))
        w.recovered = sub(w.recovered, least(l.reaped, w.recovered))
        l.spent, l.reaped = sub(l.spent, l.reaped), ZERO
    end
    l.spent = most(l.spent, said.spent)
    l.ceiling = most(said.held, l.spent)
    l.number, l.at = number, now
    return w, l, true
end

local function grant(h, q, said, w, l)
    if h.plain.frozen == '1' or h.hold > 0 then
        return
    end
    local s = sums(h, w, q.lease)
    local free = sub(add(q.amount, s.extra), add(s.spent, add(s.open, s.own_open)))
    local limit = add(l.spent, most(free, ZERO))
    if less(limit, said.least) then
        return -- of no use to anybody there
    end
    local ceiling = least(said.need, limit)
    local headroom = least(part(sub(limit, ceiling), q.share),
                           most(sub(said.wanted, said.need), ZERO))
    l.ceiling = most(l.ceiling, add(ceiling, headroom))
end

local function tell_records(h, q, out)
    local told = {}
    for field, r in pairs(h.records) do
        if r.who == me and r.number <= q.heard then
            redis.call('HDEL', h.key, field)
        else
            if r.who ~= me and r.at + 3 * term < now then -- who should have told it is gone
                r.who, r.number, r.at = me, number, now
                redis.call('HSET', h.key, field, table.concat({r.id, text(r.amount), me,
                    whole(number), whole(now)}, ' '))
            end
            if r.who == me then
                told[#told + 1] = r.id .. ' ' .. text(r.amount)
            end
        end
    end
    out[#out + 1] = #told
    for _, words_of_one in ipairs(told) do
        out[#out + 1] = words_of_one
    end
end

local function answer(h, q, w)
    local s = sums(h, w, q.lease)
    local out = {h.plain.frozen or '0', h.hold > 0 and '1' or '0', text(s.extra),
                 text(s.recovered), text(sub(s.spent, s.own_spent)), text(s.open), #q.windows}
    for _, said in ipairs(q.windows) do
        local v = window_of(h, said.id)
        local l = v.leases[q.lease]
        out[#out + 1] = text(l ~= nil and l.ceiling or ZERO)
        out[#out + 1] = text(v.base)
        out[#out + 1] = whole(v.reset)
        out[#out + 1] = text(total(v))
        out[#out + 1] = text(open(v, q.lease))
    end
    tell_records(h, q, out)
    return table.concat(out, ' ')
end

local function report(key, block)
    local h, q = load(key), read_report(block)
    local current = q.windows[1]
    reap(h, q.lease)
    forget(h)
    end_hold(h)
    take_shape(h, q.shape, q.carry, current.id)
    if q.fold then
        fold(h, q.lease)
    end
    if q.fresh and h.windows[current.id] == nil then
        hold(h)
    end
    local taken = {}
    for i, said in ipairs(q.windows) do
        local w, l, is_news = take_said(h, q, said)
        taken[i] = {w, l, is_news}
    end
    if taken[1][3] then
        grant(h, q, current, taken[1][1], taken[1][2])
    end
    for _, one in ipairs(taken) do
        local w, l = one[1], one[2]
        if one[3] then
            l.ends = less(l.spent, l.ceiling) and now + term or 0
            save_lease(h, w, q.lease, l)
        end
        save_window(h, w)
    end
    expire(h, q.ttl)
    return answer(h, q, taken[1][1])
end

-- ------------------------------------------------------------- by an operator

local function is_done(h, name)
    local names = words(h.plain.deeds or '')
    for _, known in ipairs(names) do
        if known == name then
            return true
        end
    end
    names[#names + 1] = name
    set(h, 'deeds', table.concat(names, ' ', math.max(1, #names - DEEDS + 1)))
    return false
end

-- What was spent is forgotten; what is leased is not.
local function reset(h, w)
    for _, v in pairs(h.windows) do
        if counts(v, w) then
            v.base = sub(v.base, total(v))
            v.recovered, v.floor, v.reset = ZERO, ZERO, v.reset + 1
            save_window(h, v)
        end
    end
end

-- The amount with all that was given is never below 0.
local function top_up(h, q, w)
    local others = ZERO
    for _, v in pairs(h.windows) do
        if v ~= w and counts(v, w) then
            others = add(others, v.extra)
        end
    end
    local lowest = sub(ZERO, add(q.amount, most(others, ZERO)))
    w.extra = most(add(w.extra, money(q.given)), lowest)
end

-- What the operator's instance has spent and not said yet is spent before, too.
local function take_spent(h, q, said, w)
    local l = w.leases[q.lease]
    if l ~= nil and less(l.spent, said.spent) and not less(ZERO, l.reaped) then
        l.spent, l.ceiling = said.spent, most(l.ceiling, said.spent)
        save_lease(h, w, q.lease, l)
    end
end

local function deed(key, block)
    local h, q = load(key), read_report(block)
    local said = q.windows[1]
    local w = window_of(h, said.id)
    w.till = math.max(w.till, said.till)
    take_spent(h, q, said, w)
    if not is_done(h, q.deed) then
        if q.what == 'reset' then
            reset(h, w)
        elseif q.what == 'top_up' then
            top_up(h, q, w)
        else
            set(h, 'frozen', q.what == 'freeze' and '1' or '0')
        end
        save_window(h, w)
    end
    expire(h, q.ttl)
    return 'done'
end

-- ------------------------------------------------------- rows of who has crashed

-- What was counted for it as spent is not changed; but rows are to say the same, and it
-- may have written more than it could say here, or less.
local function settle(key, block)
    local h, q = load(key), read_report(block)
    local crashed, rows = q.deed .. '.', money(q.what)
    local w = h.windows[q.windows[1].id]
    local missing, last, did_crash = sub(ZERO, rows), nil, false
    for name, l in pairs(w ~= nil and w.leases or {}) do
        if name:sub(1, #crashed) == crashed then
            did_crash = did_crash or less(l.spent, l.ceiling) or less(ZERO, l.reaped)
            l.spent = most(l.spent, l.ceiling)
            missing = add(missing, sub(l.spent, l.reaped))
            last = name
            save_lease(h, w, name, l)
        end
    end
    if did_crash and (less(ZERO, missing) or less(missing, ZERO)) then
        local l = w.leases[last]
        l.reaped = add(l.reaped, missing) -- so that it is found once
        w.recovered = most(add(w.recovered, missing), ZERO)
        record(h, w, last, missing)
        save_lease(h, w, last, l)
        save_window(h, w)
    end
    return 'done'
end

if mode == 'settle' then
    return settle(KEYS[1], ARGV[6])
elseif mode == 'deed' then
    return deed(KEYS[1], ARGV[6])
end
local lines = {whole(now)}
for i, key in ipairs(KEYS) do
    lines[#lines + 1] = report(key, ARGV[5 + i])
end
return table.concat(lines, '\n')
