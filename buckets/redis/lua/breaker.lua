-- Breakers: what breaker.go says.

local BREAKER = 4
local CIRCUIT = '<Bddd' -- format, failures in a row, open until, probes that succeeded: 25 bytes
local PROBE = '<dB'     -- then for each probe that is out: given up at, length of the lease, lease
local CALLS = 2147483648
local REMEMBERED = 86400000000

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

local function set(cell, failures, opened, succeeded)
  cell.failures, cell.opened, cell.succeeded = failures, opened, succeeded
  cell.changed = true
end

local function until_half_open(cell) return max(cell.opened - now, 0) end

local function read_probes(cell, stored)
  local at = 26
  while at <= #stored do
    local given_up, size
    given_up, size, at = struct.unpack(PROBE, stored, at)
    if given_up > now then
      cell.probes[#cell.probes + 1] = { lease = stored:sub(at, at + size - 1), given_up = given_up }
    end
    at = at + size
  end
end

kinds[5] = {
  open = function(cell, _, failures, open_for, probes, probe_lives)
    cell.tolerated, cell.open_for, cell.most, cell.probe_lives = failures, open_for, probes, probe_lives
    cell.failures, cell.opened, cell.succeeded, cell.probes = 0, 0, 0, {}
    local stored = redis.call('GET', cell.key)
    cell.stored = stored
    if not stored then
      return
    end
    if #stored < 25 or stored:byte() ~= BREAKER then
      unreadable(cell.index)
    end
    local _, opened
    _, cell.failures, opened, cell.succeeded = struct.unpack(CIRCUIT, stored)
    cell.opened = min(opened, now + open_for) -- shortened by a reload, or the clock went back
    cell.changed = cell.opened ~= opened
    read_probes(cell, stored)
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

  -- How a request ended that was taken under the lease: ticks of 0 are a success.
  settle = function(cell, ticks, _, lease)
    local i = now >= cell.opened and probe_of(cell, lease)
    if cell.opened == 0 and ticks == 0 then
      if cell.failures > 0 then
        set(cell, 0, 0, 0)
      end
    elseif cell.opened == 0 and cell.failures + 1 < cell.tolerated then
      set(cell, cell.failures + 1, 0, 0)
    elseif cell.opened == 0 or i and ticks > 0 then
      cell.probes = {}
      set(cell, 0, now + cell.open_for, 0)
    elseif i and cell.succeeded + 1 >= cell.most then
      cell.probes = {}
      set(cell, 0, 0, 0)
    elseif i then
      table.remove(cell.probes, i)
      set(cell, 0, cell.opened, cell.succeeded + 1)
    end
    measure(cell)
    return 0
  end,

  delay = until_half_open,
  reset = until_half_open,

  save = function(cell)
    if cell.failures == 0 and cell.opened == 0 then
      redis.call('DEL', cell.key)
      return
    end
    local values = { struct.pack(CIRCUIT, BREAKER, cell.failures, cell.opened, cell.succeeded) }
    for i, probe in ipairs(cell.probes) do
      values[i + 1] = struct.pack(PROBE, probe.given_up, #probe.lease) .. probe.lease
    end
    local value = table.concat(values)
    if value ~= cell.stored then
      redis.call('SET', cell.key, value, 'PX', ttl(until_half_open(cell) + REMEMBERED))
    end
  end,
}
