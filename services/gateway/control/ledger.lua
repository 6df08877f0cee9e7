-- One charge on all of a request's buckets, or its settlement, in one step. The algorithms are those of rates.py.
-- KEYS: for each bucket a hash with its state and a sorted set with the leases under way.
-- ARGV: "reserve" or "settle", the algorithm, the lease, seconds a lease lives or the time reserved at; then for each bucket
-- its limits (requests, tokens, concurrent; 0 for none) and the amounts (requests, tokens, concurrent).
local MINUTE = 60
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local action, algorithm, lease, time = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local function roll(state, limit)
  if algorithm == 'token_bucket' then
    state[2] = math.max(0, state[2] - math.max(0, now - state[1]) * limit / MINUTE)
    state[1] = now
    return state[2]
  end
  local elapsed = now % MINUTE
  local window = math.floor(now - elapsed + 0.5)
  if state[1] ~= window then
    local before = 0
    if algorithm == 'sliding_window' and window - state[1] == MINUTE then before = state[2] end
    state[1], state[2], state[3] = window, 0, before
  end
  return state[2] + state[3] * (1 - elapsed / MINUTE)
end

local function add(state, amount, since)
  if algorithm == 'token_bucket' or since >= state[1] then
    state[2] = math.max(0, state[2] + amount)
  elseif algorithm == 'sliding_window' and since >= state[1] - MINUTE then
    state[3] = math.max(0, state[3] + amount)
  end
end

local function wait(state, limit, amount)
  if amount > limit then return -1 end
  if algorithm == 'token_bucket' then return math.max(0, (state[2] + amount - limit) * MINUTE / limit) end
  local elapsed = now - state[1]
  if algorithm == 'fixed_window' then return MINUTE - elapsed end
  local room = limit - state[2] - amount
  if room >= 0 then
    if state[3] == 0 then return 0 end
    return math.max(0, MINUTE * (1 - room / state[3]) - elapsed)
  end
  return MINUTE - elapsed + MINUTE * (1 - (limit - amount) / state[2])
end

local function reset(state, limit)
  if algorithm == 'token_bucket' then return state[2] * MINUTE / limit end
  if algorithm == 'sliding_window' then
    if state[2] > 0 then return state[1] + 2 * MINUTE - now end
    if state[3] > 0 then return state[1] + MINUTE - now end
    return 0
  end
  if state[2] > 0 then return state[1] + MINUTE - now end
  return 0
end

local function number(value) return string.format('%.6f', value) end

local kinds = {{'r', 1}, {'t', 2}}
local answer = {number(now), '0', '', '0'}
local writes = {}
local count = #KEYS / 2
for index = 1, count do
  local hash, leases, base = KEYS[2 * index - 1], KEYS[2 * index], 4 + (index - 1) * 6
  local found = redis.call('HMGET', hash, 'r1', 'r2', 'r3', 't1', 't2', 't3')
  local refused = nil
  for _, kind in ipairs(kinds) do
    local limit, amount = tonumber(ARGV[base + kind[2]]), tonumber(ARGV[base + 3 + kind[2]])
    local first = (kind[2] - 1) * 3
    local state = {tonumber(found[first + 1]) or 0, tonumber(found[first + 2]) or 0, tonumber(found[first + 3]) or 0}
    local left, resets = 0, 0
    if limit > 0 then
      local used = roll(state, limit)
      if action == 'settle' then
        add(state, amount, time)
      elseif amount > 0 and used + amount > limit + 0.000001 then
        refused = refused or {kind[2] == 1 and 'requests' or 'tokens', wait(state, limit, amount)}
        amount = 0
      else
        add(state, amount, now)
      end
      left = math.max(0, math.floor(limit - used - amount + 0.000001))
      resets = reset(state, limit)
      table.insert(writes, {'HSET', hash, kind[1] .. '1', number(state[1]), kind[1] .. '2', number(state[2]), kind[1] .. '3', number(state[3])})
      table.insert(writes, {'PEXPIRE', hash, 180000})
    end
    table.insert(answer, number(left))
    table.insert(answer, number(resets))
  end
  local most, amount = tonumber(ARGV[base + 3]), tonumber(ARGV[base + 6])
  if most > 0 and amount > 0 then
    redis.call('ZREMRANGEBYSCORE', leases, '-inf', now)
    if redis.call('ZCARD', leases) + amount > most then refused = refused or {'concurrent', 1} end
    table.insert(writes, {'ZADD', leases, number(now + time), lease})
    table.insert(writes, {'PEXPIRE', leases, math.ceil(time * 2000)})
  elseif most > 0 and amount < 0 then
    table.insert(writes, {'ZREM', leases, lease})
  end
  if refused then
    answer[2], answer[3], answer[4] = tostring(index), refused[1], number(refused[2])
    return answer
  end
end
for _, write in ipairs(writes) do redis.call(unpack(write)) end
return answer
