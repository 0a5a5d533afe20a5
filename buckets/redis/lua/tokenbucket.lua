-- Token buckets: what tokenstate.go says.

kinds[1] = {
  open = function(cell, _, missing, P, R, q)
    cell.missing, cell.P, cell.R, cell.q = missing, P, R, q
    cell.used, cell.changed, cell.expires = token_level(cell.index, cell.full, cell.deepest, missing, P, R, q)
  end,

  add = function(cell, ticks)
    if cell.full > 0 then
      cell.used = min(cell.used + ticks, cell.deepest)
    end
  end,

  returnable = function(cell, ticks, taken_at)
    if taken_at == 0 or cell.full == 0 then
      return ticks
    end
    local quanta = max(floor(now / cell.q) - floor(taken_at / cell.q), 0)
    return max(ticks - quanta * cell.R, 0)
  end,

  give = function(cell, ticks) cell.used = max(cell.used - ticks, 0) end,

  settle = settle_down_to,

  -- A reservation is known by where it ends, which no earlier one does.
  cancel = function(cell, ticks, tat, part)
    if cell.full == 0 or cell.used == 0 and cell.missing == 0 then
      return false
    end
    local whole = floor(cell.used / cell.R)
    if tat ~= floor(now / cell.q) + whole or part ~= cell.used - whole * cell.R then
      return false
    end
    cell.used = max(cell.used - ticks, 0)
    return true
  end,

  -- Go tells the times from the levels: it counts in 64 bits.
  delay = function(_, _, used) return used end,
  reset = function() return 0 end,

  save = function(cell)
    token_keep(cell.key, cell.used, cell.missing, cell.P, cell.R, cell.q, cell.expires)
  end,
}
