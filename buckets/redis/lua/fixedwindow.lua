-- Fixed windows: what fixedwindow.go says. Go tells the bounds of the window that
-- now should be in, because it knows the calendar, and where the next one ends if it
-- is about to begin; where now is in neither, nothing is judged and Go is asked again.

local FIXED = 2
local WINDOW = '<Bddd' -- format, start, end, count: 25 bytes

local function until_end(cell) return cell.last - now end

local function count_in_window(cell, ticks) cell.used = cell.used + ticks end

kinds[2] = {
  open = function(cell, _, first, last, following)
    if now >= last then
      first, last = last, following
    end
    cell.first, cell.last = first, last
    if now < first or now >= last then
      stale = true
      return
    end
    local stored = redis.call('GET', cell.key)
    if not stored then
      return
    end
    if #stored ~= 25 or stored:byte() ~= FIXED then
      unreadable(cell.index)
    end
    local _, start, ends, count = struct.unpack(WINDOW, stored)
    if ends > now then -- else it is over
      cell.used, cell.changed = count, start ~= first or ends ~= last
    end
  end,

  add = count_in_window,

  give = function(cell, ticks, taken_at)
    if taken_at == 0 or taken_at >= cell.first and taken_at < cell.last then
      cell.used = max(cell.used - ticks, 0)
    end
  end,

  settle = function(cell, ticks, most)
    local taken = min(ticks, max(most - cell.used, 0))
    count_in_window(cell, taken)
    return ticks - taken
  end,

  delay = until_end,
  reset = until_end,

  save = function(cell)
    if cell.used == 0 then
      redis.call('DEL', cell.key)
      return
    end
    local value = struct.pack(WINDOW, FIXED, cell.first, cell.last, cell.used)
    redis.call('SET', cell.key, value, 'PX', ttl(until_end(cell)))
  end,
}
