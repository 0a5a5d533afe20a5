-- One token bucket that is taken from, the common request: a fraction of the
-- server's time that judge.lua needs for it. Its role says nothing here, for a
-- refusal takes nothing either way.
-- Answers like judge.lua.

local _, _, _, hopeless, _, ticks, may_owe, _, full, deepest, missing, P, R, q =
  struct.unpack('<BBBBBddddddddd', ARGV[2])
local used, changed = token_level(1, full, deepest, missing, P, R, q)

local judged, verdict = used, 0
-- used + ticks can pass 2^53, the difference cannot.
if hopeless == 0 and used - (full - ticks) <= may_owe then
  verdict = 1
  if ticks > 0 then
    used, changed = used + ticks, true
  end
end
if changed then
  token_keep(KEYS[1], used, missing, P, R, q)
end
return { now, verdict, used, 0, judged, 0 }
