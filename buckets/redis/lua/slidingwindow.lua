-- Sliding windows: what slidingwindow.go says.
--
-- The newest sub-window is kept in the head of the value and the older ones, the
-- oldest first, behind it: a request that is admitted writes a new head before
-- the same bytes, and looks at no sub-window but the newest and those that have
-- left. Only a refusal, a refund or other lengths walk over them.

local SLIDING = 3
local HEAD = '<Bddddd' -- format, microseconds a sub-window, sub-windows, total, newest number and its count: 41 bytes
local SPAN = '<dd'     -- number and count: 16 bytes

-- Makes the last of the spans the newest.
local function part_newest(cell, spans)
  cell.at, cell.older, cell.count = 1, spans, 0
  if spans ~= '' then
    cell.number, cell.count = struct.unpack(SPAN, spans, #spans - 15)
    cell.older = spans:sub(1, -17)
  end
end

-- All spans, the newest among them.
local function join_newest(cell)
  local older = cell.older:sub(cell.at)
  return cell.count == 0 and older or older .. struct.pack(SPAN, cell.number, cell.count)
end

-- Drops the sub-windows that have left the window.
local function leave(cell, oldest)
  if cell.number < oldest then
    cell.older, cell.at, cell.count, cell.used = '', 1, 0, 0
  end
  while cell.at <= #cell.older do
    local number, count = struct.unpack(SPAN, cell.older, cell.at)
    if number >= oldest then
      break
    end
    cell.used, cell.at = cell.used - count, cell.at + 16
  end
end

-- Rewrites sub-windows of another length, each into the one that its end falls
-- into, and those that lie ahead, because the clock went back, into the current.
local function renumber(cell, length, part)
  local spans, renumbered = join_newest(cell), {}
  local last, sum
  for at = 1, #spans, 16 do
    local number, count = struct.unpack(SPAN, spans, at)
    number = min(floor(((number + 1) * length - 1) / part), cell.current)
    if number == last then
      sum = sum + count
    else
      if last then
        renumbered[#renumbered + 1] = struct.pack(SPAN, last, sum)
      end
      last, sum = number, count
    end
  end
  renumbered[#renumbered + 1] = struct.pack(SPAN, last, sum)
  part_newest(cell, table.concat(renumbered))
end

-- When the sub-window leaves the window.
local function leaves(cell, number) return (number + cell.parts + 1) * cell.part end

local function reset(cell)
  return cell.used > 0 and leaves(cell, cell.number) - now or 0
end

local function add(cell, ticks)
  if ticks == 0 then
    return
  end
  if cell.number ~= cell.current then
    cell.older, cell.at = join_newest(cell), 1
    cell.number, cell.count = cell.current, 0
  end
  cell.count, cell.used, cell.changed = cell.count + ticks, cell.used + ticks, true
end

kinds[3] = {
  open = function(cell, _, part, parts)
    cell.part, cell.parts, cell.current = part, parts, floor(now / part)
    cell.older, cell.at, cell.count = '', 1, 0
    local stored = redis.call('GET', cell.key)
    cell.stored = stored
    if not stored then
      return
    end
    if #stored < 41 or #stored % 16 ~= 9 or stored:byte() ~= SLIDING then
      unreadable(cell.index)
    end
    local _, length, lengths
    _, length, lengths, cell.used, cell.number, cell.count = struct.unpack(HEAD, stored)
    cell.older, cell.at = stored, 42
    if length ~= part or lengths ~= parts or cell.number > cell.current then
      leave(cell, floor(now / length) - lengths)
      if cell.used > 0 then
        renumber(cell, length, part)
        cell.changed, cell.renumbered = true, true
      end
    end
    leave(cell, cell.current - parts)
  end,

  add = add,

  -- To the sub-window that the tokens came from, as far as it still has them;
  -- without an instant to the newest first.
  give = function(cell, ticks, taken_at)
    local wanted = taken_at ~= 0 and floor(taken_at / cell.part)
    local spans = join_newest(cell)
    for at = #spans - 15, 1, -16 do
      local number, count = struct.unpack(SPAN, spans, at)
      if ticks == 0 or wanted and number < wanted then
        break
      end
      if not wanted or number == wanted then
        local given = min(ticks, count)
        local rest = count > given and struct.pack(SPAN, number, count - given) or ''
        spans = spans:sub(1, at - 1) .. rest .. spans:sub(at + 16)
        ticks, cell.used, cell.changed = ticks - given, cell.used - given, true
      end
    end
    part_newest(cell, spans)
  end,

  settle = function(cell, ticks, most)
    local taken = min(ticks, max(most - cell.used, 0))
    add(cell, taken)
    return ticks - taken
  end,

  delay = function(cell, over)
    local spans, last = join_newest(cell), now
    for at = 1, #spans, 16 do
      local number, count = struct.unpack(SPAN, spans, at)
      last, over = leaves(cell, number), over - count
      if over <= 0 then
        break
      end
    end
    return last - now
  end,

  reset = reset,

  save = function(cell)
    if cell.used == 0 then
      if cell.before > 0 or cell.renumbered then -- else what is stored has left already, and expires
        redis.call('DEL', cell.key)
      end
      return
    end
    local head = struct.pack(HEAD, SLIDING, cell.part, cell.parts, cell.used, cell.number, cell.count)
    local value = head .. cell.older:sub(cell.at)
    if value ~= cell.stored then -- what was given back may have been taken again
      redis.call('SET', cell.key, value, 'PX', ttl(reset(cell)))
    end
  end,
}
