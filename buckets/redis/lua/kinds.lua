-- The kinds of buckets, by the number that Go sends. Each says what the methods
-- of its type say in Go, on a cell: the working copy of one bucket, whose `used`
-- is its level, and which is `changed` if it must be stored even at the level it
-- was found at. A request judges on cells, and what stands is stored at the end.
--
--   open(cell, lease, ...)            reads what is stored, brings it to now
--   add(cell, ticks, lease)           takes what was admitted
--   returnable(cell, ticks, x)        how much of what was taken at x may be given back; not there: all of it
--   give(cell, ticks, x, lease)       gives back; x is when it was taken
--   settle(cell, ticks, x, lease)     takes in any case; answers what it could not; x is the deepest level it reaches
--   delay(cell, over, used)           microseconds until over more are free
--   reset(cell)                       microseconds until the level is 0
--   save(cell)                        stores it
local kinds = {}

-- Takes as much of ticks as the deepest level leaves, and answers the rest.
local function settle_down_to(cell, ticks, most)
  local taken = min(ticks, max(most - cell.used, 0))
  cell.used = cell.used + taken
  return ticks - taken
end

local stale = false -- a window that Go sent is not the one that now is in
