-- One token bucket that is taken from, the common request: about 4 us less of the
-- server's time than judge.lua needs for it, and so about half. Its role says
-- nothing here, for a refusal takes nothing either way.
-- Answers like judge.lua.

-- As CHARGE in judge.lua; x skips a byte.
local hopeless, ticks, may_owe, full, deepest, missing, P, R, q =
  struct.unpack('<xxxBxddxxxxxxxxdddddd', ARGV[2])
local used, changed, expires = token_level(1, full, deepest, missing, P, R, q)

local judged, verdict = used, 0
-- used + ticks can pass 2^53, the difference cannot.
if hopeless == 0 and used - (full - ticks) <= may_owe then
  verdict = 1
  if ticks > 0 then
    used, changed = used + ticks, true
  end
end
if changed then
  token_keep(KEYS[1], used, missing, P, R, q, expires)
end
return { now, verdict, used, 0, judged, 0 }
