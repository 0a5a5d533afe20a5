-- One fixed window that is taken from, as token1.lua: 6 us of the server's time
-- instead of 10.
-- Answers like judge.lua.

-- As CHARGE there; x skips a byte.
local hopeless, ticks, may_owe, full, first, last, following = struct.unpack('<xxxBxddxxxxxxxxdxxxxxxxxddd', ARGV[2])
first, last = window_of(first, last, following)
if not first then
  return { now }
end
local used, changed = window_count(1, first, last)

local over, verdict = used - (full - ticks), 0
if hopeless == 0 and over <= may_owe then
  verdict = 1
  if ticks > 0 then
    used, changed = used + ticks, true
  end
end
if changed then
  window_keep(KEYS[1], first, last, used)
end
local reset = last - now
return { now, verdict, used, 0, over > 0 and hopeless == 0 and reset or 0, reset }
