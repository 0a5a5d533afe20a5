-- Breakers: what breaker.go says.

local BREAKER = 4
-- Format, failures in a row, open until, and probes that succeeded or, of a closed
-- one, since when it is: 25 bytes.
local CIRCUIT = '<Bddd'
local PROBE = '<dB' -- then for each probe that is out: given up at, length of the lease, lease
local CALLS = 2147483648
local REMEMBERED = 3600000000

local function probe_of(cell, lease)
  for i, probe in ipairs(cell.probes) do
    if probe.lease == lease then
      return i
    end
  end
end

-- The level follows from the rest.
local function measure(cell)
  if cell.opened == 0 then
    cell.used = 0
  elseif now < cell.opened then
    cell.used = CALLS
  else
    cell.used = CALLS - max(cell.most - cell.succeeded - #cell.probes, 0)
  end
end

local function closes(cell, failures, since)
  cell.failures, cell.closed, cell.opened, cell.succeeded = failures, since, 0, 0
  cell.probes, cell.changed = {}, true
end

local function opens(cell)
  cell.failures, cell.closed, cell.opened, cell.succeeded = 0, 0, now + cell.open_for, 0
  cell.probes, cell.changed = {}, true
end

local function until_half_open(cell) return max(cell.opened - now, 0) end

-- No instant lies further ahead than it could: times were shortened by a reload, or
-- the clock went back.
local function latest(cell, stored, most)
  cell.changed = cell.changed or stored > most
  return min(stored, most)
end

local function read_probes(cell, stored)
  local at = 26
  while at <= #stored do
    local given_up, size
    given_up, size, at = struct.unpack(PROBE, stored, at)
    if given_up > now then
      local lease = stored:sub(at, at + size - 1)
      cell.probes[#cell.probes + 1] = { lease = lease, given_up = latest(cell, given_up, now + cell.probe_lives) }
    end
    at = at + size
  end
end

-- How a request ended that was admitted while closed.
local function count(cell, failed)
  if failed and cell.failures + 1 >= cell.tolerated then
    opens(cell)
  elseif failed then
    closes(cell, cell.failures + 1, cell.closed)
  elseif cell.failures > 0 then
    closes(cell, 0, cell.closed)
  end
end

-- How a probe ended.
local function tried(cell, i, failed)
  if failed then
    opens(cell)
  elseif cell.succeeded + 1 >= cell.most then
    closes(cell, 0, now)
  else
    table.remove(cell.probes, i)
    cell.succeeded, cell.changed = cell.succeeded + 1, true
  end
end

kinds[5] = {
  open = function(cell, _, failures, open_for, probes, probe_lives)
    cell.tolerated, cell.open_for, cell.most, cell.probe_lives = failures, open_for, probes, probe_lives
    cell.failures, cell.closed, cell.opened, cell.succeeded, cell.probes = 0, 0, 0, 0, {}
    local stored = redis.call('GET', cell.key)
    cell.stored = stored
    if not stored then
      return
    end
    if #stored < 25 or stored:byte() ~= BREAKER then
      unreadable(cell.index)
    end
    local _, opened, last
    _, cell.failures, opened, last = struct.unpack(CIRCUIT, stored)
    if opened == 0 then
      cell.closed = latest(cell, last, now)
      return
    end
    cell.opened, cell.succeeded = latest(cell, opened, now + open_for), last
    read_probes(cell, stored)
    if now >= cell.opened and cell.succeeded >= probes then
      closes(cell, 0, now) -- a reload wants no more than have succeeded
    end
    measure(cell)
  end,

  add = function(cell, ticks, lease)
    if cell.opened == 0 or now < cell.opened or ticks == 0 then
      return -- closed, or opened by what the same call told of an earlier request
    end
    local i = probe_of(cell, lease) or #cell.probes + 1
    cell.probes[i], cell.changed = { lease = lease, given_up = now + cell.probe_lives }, true
    measure(cell)
  end,

  -- A probe that was never made.
  give = function(cell, _, _, lease)
    local i = probe_of(cell, lease)
    if i then
      table.remove(cell.probes, i)
      cell.changed = true
      measure(cell)
    end
  end,

  -- How a request ended that was taken under the lease at an instant, if that is
  -- not 0: ticks of 0 are a success.
  settle = function(cell, ticks, at, lease)
    local i = now >= cell.opened and probe_of(cell, lease)
    if cell.opened == 0 and (at == 0 or at >= max(cell.closed, now - REMEMBERED)) then
      count(cell, ticks > 0)
    elseif i then
      tried(cell, i, ticks > 0)
    end
    measure(cell)
    return 0
  end,

  delay = until_half_open,
  reset = until_half_open,

  save = function(cell)
    if cell.failures == 0 and cell.opened == 0 and cell.closed == 0 then
      redis.call('DEL', cell.key)
      return
    end
    local last = cell.opened == 0 and cell.closed or cell.succeeded
    local values = { struct.pack(CIRCUIT, BREAKER, cell.failures, cell.opened, last) }
    for i, probe in ipairs(cell.probes) do
      values[i + 1] = struct.pack(PROBE, probe.given_up, #probe.lease) .. probe.lease
    end
    local value = table.concat(values)
    if value ~= cell.stored then
      redis.call('SET', cell.key, value, 'PX', ttl(until_half_open(cell) + REMEMBERED))
    end
  end,
}
