-- Many requests that take from token buckets, each of them all or nothing, one
-- after another: what judge.lua says of them, for a third of the server's time. A
-- batch of 16 costs it 7 us of each bucket there.
--
-- KEYS are the buckets, each once. ARGV[2] is packed doubles: how many terms there
-- are, and of each full, deepest, missing, P, R, q; for each key where those of its
-- bucket begin; then of each request how many charges it has, and of each charge
-- which key, and the ticks. One text of numbers, of which one call makes a table:
-- text and calls are what costs here.
-- Answers packed doubles: now, and for each charge the level that it was judged at
-- as it is if it was admitted, and as -1 less it if not.

local numbers = { struct.unpack('<' .. ('d'):rep(#ARGV[2] / 8), ARGV[2]) }
local TERMS = 6
local terms_of = 1 + TERMS * numbers[1] -- what is behind it tells for each key where its terms begin

-- A key of another type counts as absent for MGET, and would be written over.
local stored = redis.call('MGET', unpack(KEYS))
local absent = {}
for i = 1, #KEYS do
  if not stored[i] then
    absent[#absent + 1] = KEYS[i]
  end
end
if #absent > 0 and redis.call('EXISTS', unpack(absent)) > 0 then
  for i = 1, #absent do
    redis.call('GET', absent[i]) -- the one of another type says so
  end
end

local levels, before, changed, expires = {}, {}, {}, {}
for i = 1, #KEYS do
  local at = numbers[terms_of + i]
  local level, other = 0, false
  if numbers[at] > 0 then -- else it is closed for a while
    level, other, expires[i] = level_of(stored[i], i, numbers[at + 1], numbers[at + 2], numbers[at + 3], numbers[at + 4], numbers[at + 5])
  end
  levels[i], before[i], changed[i] = level, level, other
end

-- What a request asks for counts, granted or not, for what it asks next of the same
-- bucket: it needs all. Past a full bucket and the deepest level nothing counts, so
-- that the numbers stay exact. If it does not pass, all is as it was.
local answer, told = { now }, 1
local at, last = terms_of + #KEYS + 1, #numbers - 1 -- the last is where struct.unpack ended
while at <= last do
  local first, ends, passes = at + 1, at + 2 * numbers[at], true
  for charge = first, ends, 2 do
    local key, ticks = numbers[charge], numbers[charge + 1]
    local terms, level = numbers[terms_of + key], levels[key]
    local full = numbers[terms]
    told = told + 1
    if level - (full - ticks) <= 0 then -- level + ticks can pass 2^53, the difference cannot
      answer[told] = level
      levels[key] = level + ticks
    else
      answer[told] = -1 - level
      levels[key] = min(level + ticks, full + numbers[terms + 1])
      passes = false
    end
  end
  if not passes then
    local judged = told
    for charge = ends - 1, first, -2 do
      local level = answer[judged]
      levels[numbers[charge]] = level < 0 and -1 - level or level
      judged = judged - 1
    end
  end
  at = ends + 1
end

for i = 1, #KEYS do
  if changed[i] or levels[i] ~= before[i] then
    local terms = numbers[terms_of + i]
    token_keep(KEYS[i], levels[i], numbers[terms + 2], numbers[terms + 3], numbers[terms + 4], numbers[terms + 5], expires[i])
  end
end
return struct.pack('<' .. ('d'):rep(told), unpack(answer))
