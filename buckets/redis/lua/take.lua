-- Judges the charges of a request one after another on a working copy of the
-- levels, then writes the levels that changed: all charges stand, or none but
-- the refunds. Says what buckets.Judge says in Go.
-- Answers now, and for each charge the ticks used then and the ticks that
-- lacked: 0 is admitted.

local LOOK, REFUND = 1, 2 -- modes; 0 takes
local ENFORCE = 0         -- roles; the others never refuse the request

-- The distinct buckets in the order of their first charge. A bucket that is
-- charged twice is judged the second time after what was taken the first time.
local buckets, by_key = {}, {}
local function bucket_of(i, full, P, R, q)
  local key = KEYS[i]
  local b = by_key[key]
  if not b then
    local used, changed = level(i, full, P, R, q)
    b = { key = key, P = P, R = R, q = q, before = used, changed = changed, used = used, refunded = used }
    by_key[key], buckets[#buckets + 1] = b, b
  end
  return b
end

local passes = true
local charged, shorts = {}, {}
for i = 1, #KEYS do
  local mode, role, cost, full, P, R, q = struct.unpack(CHARGE, ARGV[i + 1])
  local b = bucket_of(i, full, P, R, q)
  local short = 0
  if mode == REFUND then
    b.used = math.max(b.used - cost, 0)
    b.refunded = math.max(b.refunded - cost, 0) -- what stands if the request is refused
  else
    -- used + cost can pass 2^53, the difference cannot. A request that asks for
    -- more than a full bucket can never pass, so past twice that nothing counts.
    -- A closed bucket, whose full is 0, lacks 1.
    short = math.min(math.max(b.used - (full - cost), 0), math.max(2 * full, 1))
    local granted = short == 0
    if mode ~= LOOK and (granted or role == ENFORCE) then
      b.used = math.min(b.used + cost, 2 * full) -- the request needs it, granted or not
    end
    passes = passes and (granted or role ~= ENFORCE)
  end
  charged[i], shorts[i] = b, short
end

for _, b in ipairs(buckets) do
  if not passes then
    b.used = b.refunded
  end
  if b.changed or b.used ~= b.before then
    keep(b.key, b.used, b.P, b.R, b.q)
  end
end

local reply = { now }
for i, b in ipairs(charged) do
  reply[2 * i], reply[2 * i + 1] = b.used, shorts[i]
end
return reply
