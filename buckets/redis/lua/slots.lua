-- Slots: what slots.go says.
--
-- All of a bucket is one sorted set. A lease is a member 'l'..lease whose score is
-- the instant at which it expires; one that holds other than one slot has another
-- member 'w'..lease, whose score is the negative of its slots. The member SUM has
-- the negative of all slots. So what has expired is a range of scores, a lease is
-- looked up with the sum in one step, and nothing is ever counted.

local SUM = '\5'  -- names the format too
local MANY = 1000 -- arguments at once: Lua's unpack() takes up to about 8000

-- Calls a command on a key with any number of arguments and tells all it answers.
local function in_parts(command, key, arguments)
  local answers = {}
  for first = 1, #arguments, MANY do
    local answer = redis.call(command, key, unpack(arguments, first, min(first + MANY - 1, #arguments)))
    if type(answer) == 'table' then
      for i = 1, #answer do
        answers[first + i - 1] = answer[i]
      end
    end
  end
  return answers
end

local function lookup(cell, lease, expires, weight)
  expires = tonumber(expires or 0)
  local slots = expires > now and -tonumber(weight or -1) or nil
  cell.leases[lease] = { slots = slots, expires = expires, was = slots, expired = expires, weighted = weight }
end

-- What the working copy knows of a lease: its slots, nil if it is not held, when it
-- expires, and how both were found.
local function lease_of(cell, lease)
  if not cell.leases[lease] then
    local scores = redis.call('ZMSCORE', cell.key, 'l' .. lease, 'w' .. lease)
    lookup(cell, lease, scores[1], scores[2])
  end
  return cell.leases[lease]
end

-- Leaves out what has expired. It is deleted by whoever writes next.
local function sweep(cell)
  cell.expired = redis.call('ZRANGEBYSCORE', cell.key, 1, now)
  if #cell.expired == 0 then
    return
  end
  local weights = {}
  for i, member in ipairs(cell.expired) do
    weights[i] = 'w' .. member:sub(2)
  end
  for i, weight in ipairs(in_parts('ZMSCORE', cell.key, weights)) do
    if weight then
      cell.expired[#cell.expired + 1] = weights[i]
      cell.used = cell.used + tonumber(weight)
    else
      cell.used = cell.used - 1
    end
  end
end

-- What is to be deleted and what to be added, and when the last of it expires.
local function changes(cell)
  local gone, there, latest = {}, {}, 0
  for lease, is in pairs(cell.leases) do
    if is.slots and (is.slots ~= is.was or is.expires ~= is.expired) then
      latest = is.expires
      there[#there + 1], there[#there + 2] = is.expires, 'l' .. lease
      if is.slots ~= 1 then
        there[#there + 1], there[#there + 2] = -is.slots, 'w' .. lease
      elseif is.weighted then
        gone[#gone + 1] = 'w' .. lease
      end
    elseif is.was and not is.slots then
      gone[#gone + 1], gone[#gone + 2] = 'l' .. lease, 'w' .. lease
    end
  end
  return gone, there, latest
end

kinds[4] = {
  open = function(cell, lease, lives)
    cell.lives, cell.leases = lives, {}
    local scores = redis.call('ZMSCORE', cell.key, SUM, 'l' .. lease, 'w' .. lease)
    cell.stored = scores[1]
    if not cell.stored then
      if redis.call('EXISTS', cell.key) == 1 then
        unreadable(cell.index)
      end
      cell.expired = {}
      lookup(cell, lease)
      return
    end
    cell.used = -tonumber(scores[1])
    lookup(cell, lease, scores[2], scores[3])
    sweep(cell)
  end,

  holds = function(cell, lease) return lease_of(cell, lease).slots end,

  -- Takes slots, or renews what is held.
  add = function(cell, ticks, lease)
    local is = lease_of(cell, lease)
    if not is.slots then
      is.slots, cell.used = ticks, cell.used + ticks
    end
    is.expires, cell.changed = now + cell.lives, true
  end,

  give = function(cell, _, _, lease)
    local is = lease_of(cell, lease)
    if is.slots then
      cell.used = cell.used - is.slots
      is.slots, cell.changed = nil, true
    end
  end,

  settle = function() return 0 end,
  delay = function() return 0 end,
  reset = function() return 0 end,

  save = function(cell)
    local gone, there, latest = changes(cell)
    if #gone == 0 and #there == 0 then -- renewed in the instant in which it was taken
      return
    end
    in_parts('ZREM', cell.key, cell.expired) -- first, for a lease that has expired may be taken again
    in_parts('ZREM', cell.key, gone)
    if cell.used == 0 and #there == 0 and redis.call('ZCARD', cell.key) <= 1 then
      redis.call('DEL', cell.key)
      return
    end
    there[#there + 1], there[#there + 2] = -cell.used, SUM
    redis.call('ZADD', cell.key, unpack(there))
    if latest > 0 then -- GT sets no time to live on a key that has none
      local only = cell.stored and 'GT' or 'NX'
      redis.call('PEXPIRE', cell.key, ttl(latest - now), only)
    end
  end,
}
