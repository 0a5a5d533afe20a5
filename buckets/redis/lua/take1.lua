-- One charge that takes, the common request: a fifth less of the server's time
-- than take.lua needs for it. Its role says nothing here, for a refusal takes
-- nothing either way.
-- Answers now, the ticks used then, and the ticks that lacked: 0 is admitted.

local key = KEYS[1]
local _, _, cost, full, P, R, q = struct.unpack(CHARGE, ARGV[2])
local used, changed = level(1, full, P, R, q)

-- used + cost can pass 2^53, the difference cannot.
local short = math.max(used - (full - cost), 0)
if short == 0 and cost > 0 then
  used, changed = used + cost, true
end
if changed then
  keep(key, used, P, R, q)
end
return { now, used, short }
