-- What every script begins with: the clock, and how a value is kept.
--
-- Lua counts in doubles, which are exact for integers below 2^53; what Go sends
-- keeps every number here below that. Numbers never become text in Lua: `..` and
-- tostring() keep 14 digits, and an instant in microseconds has 16.

local MAX = 9007199254740991 -- 2^53 - 1
local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max

-- Read once: TIME moves on within a script of Redis 7.0. Only tests send an
-- instant. Keys live a second longer than they must; in tests, whose clock may
-- stand still while the server's goes on, another hour.
local now, spare = tonumber(ARGV[1]), 3601000
local sent = now ~= nil
if not sent then
  local time = redis.call('TIME')
  now, spare = time[1] * 1000000 + time[2], 1000
end

-- The time to live of a key that must be kept for so many microseconds.
local function ttl(micros)
  return min(ceil(micros / 1000) + spare, MAX) -- 285,000 years; longer is no integer to Redis
end

-- Whether a key that expires at an instant does so no earlier on the server's clock.
-- It does, unless tests sent another instant before that is later than this one.
local function lives(key, micros)
  return not sent or redis.call('PTTL', key) >= ttl(micros) - 1000
end

local function unreadable(index)
  error({ err = 'WEIRFORMAT ' .. index })
end
