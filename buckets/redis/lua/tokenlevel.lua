-- A token bucket's level in and out: what TokenBucket.Used and TokenBucket.State
-- say in Go.

local TOKENS = 6         -- the stored value's first byte
local UNGRIDDED = 1      -- of one that expires whenever it was full and a second
local STATE = '<Bddddd'  -- format, tat, part, P, R, q: 41 bytes, a short string for Redis up to 44
local IDLE = 3600000000  -- as idle in Go

-- A bucket expires at the next full four seconds after it is full. So what is stored
-- tells when it expires, and a take that does not move that leaves the time to live
-- as it is: to set it costs the server half of what writing the value does.
local GRID = 4000000

local function expiry(tat, missing, q)
  local full = (tat + 1) * q + (missing > 0 and IDLE or 0)
  return full - full % GRID + GRID
end

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

-- The ticks used now of a bucket by what is stored of it (false: nothing), whether
-- that says something else, and when it expires if that can be told. It says
-- something else if it was written under another rate, or exceeds
-- the deepest level because that was lowered or the clock went back. Such a state
-- is written anew even by a refusal. Else a caller whom the new rate promises a
-- token in 1 ms would go on to wait at the old one. So is a bucket seen for the
-- first time that lacks tokens, for it refills from then on.
local function level_of(stored, index, deepest, missing, P, R, q)
  if not stored then
    return missing, missing > 0
  end
  local format = stored:byte()
  if #stored ~= 41 or format ~= TOKENS and format ~= UNGRIDDED then
    unreadable(index)
  end
  local _, tat, part, P0, R0, q0 = struct.unpack(STATE, stored)
  local expires = format == TOKENS and expiry(tat, missing, q0) or nil
  local owed = tat - (now - now % q0) / q0
  if owed < 0 then
    return 0, false, expires
  end
  if owed > (MAX - part) / R0 then
    return deepest, true
  end
  local used = owed * R0 + part
  local other = used > 0 and (P0 ~= P or R0 ~= R or q0 ~= q)
  if other then
    used, expires = scale_up(used, P, P0, deepest), nil
  end
  if used > deepest then
    return deepest, true
  end
  return used, other, expires
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
-- expires is when the key does, if that is known.
local function token_keep(key, used, missing, P, R, q, expires)
  if used == 0 and missing == 0 then
    redis.call('DEL', key)
    return
  end
  local part = used % R
  local tat = (now - now % q) / q + (used - part) / R
  local state = struct.pack(STATE, TOKENS, tat, part, P, R, q)
  local moved = expiry(tat, missing, q)
  if moved == expires and lives(key, moved - now) then
    redis.call('SET', key, state, 'KEEPTTL')
  else
    redis.call('SET', key, state, 'PX', ttl(moved - now))
  end
end
