-- Fixed windows: what fixedwindow.go says.

local function until_end(cell) return cell.last - now end

kinds[2] = {
  open = function(cell, _, first, last, following)
    cell.first, cell.last = window_of(first, last, following)
    if not cell.first then
      stale = true
      return
    end
    cell.used, cell.changed = window_count(cell.index, cell.first, cell.last)
  end,

  add = function(cell, ticks) cell.used = cell.used + ticks end,

  give = function(cell, ticks, taken_at)
    if taken_at == 0 or taken_at >= cell.first and taken_at < cell.last then
      cell.used = max(cell.used - ticks, 0)
    end
  end,

  settle = settle_down_to,

  delay = until_end,
  reset = until_end,

  save = function(cell) window_keep(cell.key, cell.first, cell.last, cell.used) end,
}
