-- In front of the scripts of limits and runs: records of whole numbers, as text.

-- At least so many; what is not there is 0.
local function numbers(text, count)
    local out = {}
    for word in string.gmatch(text or '', '%S+') do
        out[#out + 1] = tonumber(word)
    end
    for i = #out + 1, count do
        out[i] = 0
    end
    return out
end

local function words(list)
    local out = {}
    for i = 1, #list do
        out[i] = string.format('%.0f', list[i])
    end
    return table.concat(out, ' ')
end

