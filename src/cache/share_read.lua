-- What a stream has had since an entry.
--   KEYS[1] the stream; ARGV[1] the number of the last entry that was read (0: none);
--   ARGV[2] how many at most
-- Answers "FLAG NUMBER LENGTH\n", then LENGTH bytes of what is known before the
-- first byte, then the bytes. NUMBER is the last entry's, FLAG: "+" more may come,
-- ">" more is there, "1" it ended whole, "0" it broke off, "!" an entry is missing,
-- "-" there is no stream.
local last, flag, head, bytes = tonumber(ARGV[1]), '+', '', {}
local entries = redis.call('XRANGE', KEYS[1], (last + 1) .. '-0', '+', 'COUNT', ARGV[2])
if #entries == 0 and redis.call('EXISTS', KEYS[1]) == 0 then
    flag = '-'
elseif #entries == tonumber(ARGV[2]) then
    flag = '>'
end
for _, entry in ipairs(entries) do
    local number, fields = tonumber(string.match(entry[1], '^(%d+)-')), entry[2]
    if number ~= last + 1 then
        flag = '!'
        break
    end
    last = number
    if #fields[2] > 0 then
        head = fields[2]
    end
    bytes[#bytes + 1] = fields[4]
    if fields[6] ~= '' then
        flag = fields[6]
        break
    end
end
return string.format('%s %d %d\n', flag, last, #head) .. head .. table.concat(bytes)
