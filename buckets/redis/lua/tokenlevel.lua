-- A token bucket's level in and out: what TokenBucket.Used and TokenBucket.State
-- say in Go.

local TOKENS = 1         -- the stored value's first byte
local STATE = '<Bddddd'  -- format, tat, part, P, R, q: 41 bytes, a short string for Redis up to 44
local IDLE = 3600000000  -- as idle in Go

-- ceil(ticks * to / from), or something above most if it is above most. The
-- product needs up to 106 bits, so it is divided while it is made, bit by bit.
-- Needed only after a change of rate: about 5 us.
local function scale_up(ticks, to, from, most)
  local whole, rest = floor(to / from), to % from
  local quotient, remainder = 0, 0
  local function carry()
    if remainder >= from then
      quotient, remainder = quotient + 1, remainder - from
    end
  end
  for bit = 52, 0, -1 do
    quotient, remainder = 2 * quotient, 2 * remainder
    carry()
    local weight = 2 ^ bit
    if ticks >= weight then
      ticks = ticks - weight
      quotient, remainder = quotient + whole, remainder + rest
      carry()
    end
    if quotient > most then
      return quotient
    end
  end
  return remainder > 0 and quotient + 1 or quotient
end

-- The ticks used now of a bucket by what is stored of it (false: nothing), and
-- whether that says something else: it was written under another rate, or exceeds
-- the deepest level because that was lowered or the clock went back. Such a state
-- is written anew even by a refusal. Else a caller whom the new rate promises a
-- token in 1 ms would go on to wait at the old one. So is a bucket seen for the
-- first time that lacks tokens, for it refills from then on.
local function level_of(stored, index, deepest, missing, P, R, q)
  if not stored then
    return missing, missing > 0
  end
  if #stored ~= 41 or stored:byte() ~= TOKENS then
    unreadable(index)
  end
  local _, tat, part, P0, R0, q0 = struct.unpack(STATE, stored)
  local owed = tat - floor(now / q0)
  if owed < 0 then
    return 0, false
  end
  if owed > (MAX - part) / R0 then
    return deepest, true
  end
  local used = owed * R0 + part
  local other = used > 0 and (P0 ~= P or R0 ~= R or q0 ~= q)
  if other then
    used = scale_up(used, P, P0, deepest)
  end
  if used > deepest then
    return deepest, true
  end
  return used, other
end

-- The same of the bucket that KEYS[index] names. What is stored of one that is
-- closed for a while is kept for when it opens.
local function token_level(index, full, deepest, missing, P, R, q)
  if full == 0 then
    return 0, false
  end
  return level_of(redis.call('GET', KEYS[index]), index, deepest, missing, P, R, q)
end

-- Stores a bucket's ticks used. A full bucket is an absent one, so the key may
-- go once the bucket is full, and the time to live loses nothing. One that began
-- with tokens missing is kept while it is full, so that it does not begin again.
local function token_keep(key, used, missing, P, R, q)
  if used == 0 and missing == 0 then
    redis.call('DEL', key)
    return
  end
  local whole = floor(used / R)
  local lives = (whole + 1) * q
  if missing > 0 then
    lives = lives + IDLE
  end
  local state = struct.pack(STATE, TOKENS, floor(now / q) + whole, used - whole * R, P, R, q)
  redis.call('SET', key, state, 'PX', ttl(lives))
end
