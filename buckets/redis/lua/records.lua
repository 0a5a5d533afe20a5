-- Writes records: KEYS are the version, the hash of values and the journal; ARGV
-- the version that is expected, a note, how many notes the journal holds, the
-- number of names to remove, these names, and then names and values to set.

local expect = tonumber(ARGV[1])
local version = tonumber(redis.call('GET', KEYS[1]) or 0)
if version ~= expect then
  return { version, 0 }
end

local time = redis.call('TIME')
version = math.max(version + 1, time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('SET', KEYS[1], string.format('%.0f', version))

local set = 5 + tonumber(ARGV[4])
for i = 5, set - 1 do
  redis.call('HDEL', KEYS[2], ARGV[i])
end
for i = set, #ARGV, 2 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
end
if ARGV[2] ~= '' then
  redis.call('LPUSH', KEYS[3], ARGV[2])
  redis.call('LTRIM', KEYS[3], 0, ARGV[3] - 1)
end
return { version, 1 }
