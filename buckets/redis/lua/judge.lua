-- Judges requests one after another, and of each the charges one after another, on
-- cells, then stores those that changed. Says of each request what buckets.Judge
-- says in Go.
--
-- KEYS are each charge's key, behind it that of its class if it has one. ARGV are
-- the instant, a byte for each request, which is how many charges it has, and a
-- packed text for each charge.
-- Answers now, and for each charge five numbers: the verdict, the level then, that
-- of the class, and two that Go reads by kind and mode: of a token bucket the levels
-- that the bucket and the class were judged at, of others the delay and the reset;
-- of a settlement the first is what was lost. Answers now alone, and has done
-- nothing, where the window is another than Go thought.

local TAKE, LOOK, REFUND, SETTLE = 0, 1, 2, 3
local ENFORCE, QUOTA, GATE = 0, 2, 3
local REFUSED, ADMITTED, BORROWED, PASSED_OVER = 0, 1, 2, 3

local NO_CLASS, BORROWS = 0, 2
-- kind, mode, role, hopeless, class; ticks, x, y, full, deepest, four of the kind; lease
local CHARGE = '<BBBBBdddddddddBc0'
local CLASS = '<dddddddddd' -- like the nine of the charge; what borrowing leaves

-- A bucket that is charged twice is one cell. There are few: to look through them
-- is cheaper than a second table.
local cells, index = {}, 0
local function cell_of(kind, lease, full, deepest, a, b, c, d)
  index = index + 1
  local key = KEYS[index]
  for i = 1, #cells do
    if cells[i].key == key then
      return cells[i]
    end
  end
  -- Nine fields get room for sixteen: what a kind adds does not make the table grow.
  local cell = {
    kind = kinds[kind], key = key, index = index, full = full, deepest = deepest,
    used = 0, pending = 0, changed = false, before = 0,
  }
  cell.kind.open(cell, lease, a, b, c, d)
  cell.before = cell.used
  cells[#cells + 1] = cell
  return cell
end

local function read(packed)
  local kind, mode, role, hopeless, class, ticks, x, y, full, deepest, a, b, c, d, lease, at =
    struct.unpack(CHARGE, packed)
  local ask = {
    mode = mode, role = role, hopeless = hopeless == 1, borrows = class == BORROWS,
    ticks = ticks, x = x, y = y, lease = lease, told = 0,
    cell = cell_of(kind, lease, full, deepest, a, b, c, d),
  }
  if class ~= NO_CLASS then
    local _
    _, ask.class_x, _, full, deepest, a, b, c, d, ask.keep = struct.unpack(CLASS, packed, at)
    ask.class = cell_of(kind, lease, full, deepest, a, b, c, d)
  end
  return ask
end

-- Takes are only counted while the request is judged, and applied if it passes. A
-- request that asks for more than a full bucket can never pass, so past that and
-- the deepest level nothing counts, and the numbers stay exact.
local function room(cell) return max(cell.full + cell.deepest - cell.used, 0) end

local function used_of(cell) return cell.used + min(cell.pending, room(cell)) end

local function demand(cell, ticks) cell.pending = min(cell.pending + ticks, room(cell)) end

local function held(ask)
  local holds = ask.cell.kind.holds
  return holds and ask.lease ~= '' and holds(ask.cell, ask.lease)
end

-- As Class.admits in Go.
local function admits(ask, used, mine)
  local free, own = ask.cell.full - used, ask.class.full - mine
  if own >= ask.ticks and free >= ask.ticks then
    return ADMITTED
  end
  return ask.borrows and free - ask.ticks >= max(own, 0) + ask.keep and BORROWED or REFUSED
end

local function take(ask)
  if held(ask) then -- a lease that is renewed asks for nothing more
    return ADMITTED
  end
  local cell, class, verdict = ask.cell, ask.class, REFUSED
  local used = used_of(cell)
  local over = used - (cell.full - ask.ticks) -- used + ticks can pass 2^53, the difference cannot
  if class then
    ask.mine = used_of(class)
    ask.told = used
    verdict = admits(ask, used, ask.mine)
  else
    if over <= ask.x and not ask.hopeless then
      verdict = ADMITTED
    end
    if over > 0 and not ask.hopeless then
      ask.told = cell.kind.delay(cell, over, used)
    end
  end
  if ask.mode == TAKE and (verdict ~= REFUSED or ask.role == ENFORCE) then
    demand(cell, ask.ticks) -- the request needs it, granted or not
    if class and verdict ~= BORROWED then
      demand(class, ask.ticks)
    end
  end
  return verdict
end

local function judge(ask)
  local cell, class, kind = ask.cell, ask.class, ask.cell.kind
  if ask.mode == TAKE or ask.mode == LOOK then
    return take(ask)
  elseif ask.mode == REFUND then
    -- A class gets back what its pool does: more, and the pool would hold less than
    -- what it guarantees.
    local ticks = kind.returnable and kind.returnable(cell, ask.ticks, ask.x) or ask.ticks
    kind.give(cell, ticks, ask.x, ask.lease)
    if class then
      kind.give(class, ticks, ask.class_x, ask.lease)
    end
  elseif ask.mode == SETTLE then
    ask.told = kind.settle(cell, ask.ticks, ask.x, ask.lease)
    if class then
      kind.settle(class, ask.ticks, ask.class_x, ask.lease)
    end
  elseif not (kind.cancel and kind.cancel(cell, ask.ticks, ask.x, ask.y)) then
    return REFUSED
  end
  return ADMITTED
end

-- A lease that is renewed keeps the accounts that it has.
local function apply(ask)
  local class, renewed = ask.class, held(ask)
  ask.cell.kind.add(ask.cell, ask.ticks, ask.lease)
  if not class or ask.verdict == BORROWED or renewed and not class.kind.holds(class, ask.lease) then
    return
  end
  class.kind.add(class, ask.ticks, ask.lease)
end

local asks = {}
for i = 3, #ARGV do
  asks[i - 2] = read(ARGV[i])
end
if stale then
  return { now }
end

local reply = { now }
local function report(ask, at)
  local cell, class = ask.cell, ask.class
  reply[at], reply[at + 1], reply[at + 2] = ask.verdict, cell.used, class and class.used or 0
  reply[at + 3], reply[at + 4] = ask.told, class and ask.mine or cell.kind.reset(cell)
end

-- Decides a request, which is some of the asks, and tells where its buckets stand
-- then.
local function decide(first, last)
  local closed, passes, quotas, met = false, true, false, false
  for i = first, last do
    local ask, verdict = asks[i], PASSED_OVER
    if not closed then
      verdict = judge(ask)
      local refused = verdict == REFUSED
      closed = refused and ask.role == GATE
      if ask.mode == TAKE or ask.mode == LOOK then
        passes = passes and not (refused and ask.role == ENFORCE)
        quotas, met = quotas or ask.role == QUOTA, met or not refused and ask.role == QUOTA
      end
    end
    ask.verdict = verdict
  end
  for i = first, last do
    asks[i].cell.pending = 0
    if asks[i].class then
      asks[i].class.pending = 0
    end
  end
  if passes and not closed and (met or not quotas) then
    for i = first, last do
      if asks[i].mode == TAKE and asks[i].verdict ~= REFUSED then
        apply(asks[i])
      end
    end
  end
  for i = first, last do
    report(asks[i], 5 * i - 3)
  end
end

local first = 1
for request = 1, #ARGV[2] do
  local charges = ARGV[2]:byte(request)
  decide(first, first + charges - 1)
  first = first + charges
end
for _, cell in ipairs(cells) do
  if cell.changed or cell.used ~= cell.before then
    cell.kind.save(cell)
  end
end
return reply
