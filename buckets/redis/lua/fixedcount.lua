-- A fixed window's count in and out. Go tells the bounds of the window that now
-- should be in, because it knows the calendar, and where the next one ends if it is
-- about to begin.

local FIXED = 2
local WINDOW = '<Bddd' -- format, start, end, count: 25 bytes

-- The bounds of the window that now is in; nothing if Go sent none such, then
-- nothing is judged and Go is asked again.
local function window_of(first, last, following)
  if now >= last then
    first, last = last, following
  end
  if now >= first and now < last then
    return first, last
  end
end

-- What was counted in the window, and whether the stored state says something else:
-- it has not ended, but was counted under another calendar or on a clock that went
-- back since.
local function window_count(index, first, last)
  local stored = redis.call('GET', KEYS[index])
  if not stored then
    return 0, false
  end
  if #stored ~= 25 or stored:byte() ~= FIXED then
    unreadable(index)
  end
  local _, start, ends, count = struct.unpack(WINDOW, stored)
  if ends <= now then -- it is over
    return 0, false
  end
  return count, start ~= first or ends ~= last
end

local function window_keep(key, first, last, count)
  if count == 0 then
    redis.call('DEL', key)
    return
  end
  redis.call('SET', key, struct.pack(WINDOW, FIXED, first, last, count), 'PX', ttl(last - now))
end
