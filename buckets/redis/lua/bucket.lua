-- What both scripts begin with: the clock, and a bucket's level in and out.
-- It says what TokenBucket.Used and TokenBucket.State say in Go.
--
-- Lua counts in doubles, which are exact for integers below 2^53; what Go sends
-- keeps every number here below that. Numbers never become text in Lua: `..` and
-- tostring() keep 14 digits, and an instant in microseconds has 16.

local MAX = 9007199254740991 -- 2^53 - 1
local FORMAT = 1             -- the stored value's first byte
local STATE = '<Bddddd'      -- format, tat, part, P, R, q: 41 bytes, a short string for Redis up to 44
local CHARGE = '<BBddddd'    -- mode, role, cost and capacity in ticks, P, R, q

-- Read once: TIME moves on within a script of Redis 7.0. Only tests send an
-- instant. Keys live a second longer than they must; in tests, whose clock may
-- stand still while the server's goes on, another hour.
local now, spare = tonumber(ARGV[1]), 3601000
if not now then
  local time = redis.call('TIME')
  now, spare = time[1] * 1000000 + time[2], 1000
end

-- ceil(ticks * to / from), or something above most if it is above most. The
-- product needs up to 106 bits, so it is divided while it is made, bit by bit.
-- Needed only after a change of rate: about 5 us.
local function scale_up(ticks, to, from, most)
  local whole, rest = math.floor(to / from), to % from
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

-- The ticks used now of the bucket that KEYS[i] names, and whether the stored
-- state says something else: it was written under another rate, or exceeds the
-- capacity because that was lowered or the clock went back. Such a state is
-- written anew even by a refusal. Else a caller whom the new rate promises a
-- token in 1 ms would go on to wait at the old one.
local function level(i, full, P, R, q)
  local stored = full > 0 and redis.call('GET', KEYS[i])
  if not stored then
    return 0, false
  end
  if #stored ~= 41 or stored:byte() ~= FORMAT then
    error({ err = 'WEIRFORMAT ' .. i })
  end
  local _, tat, part, P0, R0, q0 = struct.unpack(STATE, stored)
  local owed = tat - math.floor(now / q0)
  if owed < 0 then
    return 0, false
  end
  if owed > (MAX - part) / R0 then
    return full, true
  end
  local used = owed * R0 + part
  local other = used > 0 and (P0 ~= P or R0 ~= R or q0 ~= q)
  if other then
    used = scale_up(used, P, P0, full)
  end
  if used > full then
    return full, true
  end
  return used, other
end

-- Stores a bucket's ticks used. A full bucket is an absent one, so the key may
-- go once the bucket is full, and the time to live loses nothing.
local function keep(key, used, P, R, q)
  if used == 0 then
    redis.call('DEL', key)
    return
  end
  local whole = math.floor(used / R)
  local state = struct.pack(STATE, FORMAT, math.floor(now / q) + whole, used - whole * R, P, R, q)
  local ttl = math.ceil((whole + 1) * q / 1000) + spare
  redis.call('SET', key, state, 'PX', math.min(ttl, MAX)) -- 285,000 years; longer is no integer to Redis
end
