-- What a gateway knows of the limits of one shard after a loss of data: what it was told before, and when.
--
-- The script of the bank asks for it (script.lua), and makes it good when everybody has told: until then it is only kept,
-- in the record of each limit, with the version of the call from which it is known: the latest call knows best.
--
-- KEYS[1]   clock of the shard;  KEYS[2..]  one key per limit
-- ARGV[1]   gateway
-- ARGV[2]   the loss that it was asked about
-- ARGV[3]   version of its last call that was answered before the loss
-- ARGV[4]   for how many microseconds before now it knows that every gateway that called is still there
-- ARGV[5]   '1' if this is all that is left to tell
-- ARGV[6]   the gateway's monotonic clock when it sent this, microseconds
-- ARGV[7]   how many gateways it knew of, then an id of each
-- then per limit: limit, window (microseconds), burst, version, level, microseconds since it was told
--
-- Returns { 1 }, { 0 } if nobody asks any more, or { 'late' } if it took so long that it counts for nothing.

local RETENTION = 3600000000
local LONGEST = 1e13
local CLOCK_STEP = 50000           -- as in script.lua
local FIELDS = 6

local gateway = ARGV[1]

-- What the bank's script stored, or nil if it is anything else.
local function read(text, fields)
  if not text then return nil end
  local ok, value = pcall(cmsgpack.unpack, text)
  if not ok or type(value) ~= 'table' or value[1] ~= 1 then return nil end
  for index, kind in pairs(fields) do
    if type(value[index]) ~= kind then return nil end
  end
  return value
end

local stored = redis.call('MGET', unpack(KEYS))
local clock = read(stored[1], { [2] = 'number', [3] = 'number', [4] = 'number', [6] = 'table' })
local loss = clock and clock[10]
if not loss or loss[7] or loss[1] ~= tonumber(ARGV[2]) then return { 0 } end

-- Loss: { at, version, ids, known_since, told, asked, outcome, told_at, first }: when it was noticed, by the latest call
-- that anybody knows of the version and who was there, the instant after which nobody called who is gone, who has told,
-- who is to tell, what became of it (false, 2 made good, 3 not made good), when somebody told last, and the first version
-- after it.
local time = redis.call('TIME')
local now = math.max(clock[4], tonumber(time[1]) * 1000000 + tonumber(time[2]) + clock[3])
-- Times are told as what has passed since; on the way, more passes.
local last = clock[6][gateway]
if not last or (now - last[3]) - (tonumber(ARGV[6]) - last[2]) > CLOCK_STEP then return { 'late' } end
local version, count = tonumber(ARGV[3]), tonumber(ARGV[7])
if version > loss[2] then
  loss[2], loss[3] = version, {}
  for index = 1, count do loss[3][index] = tonumber(ARGV[7 + index]) end
end
loss[4] = math.min(loss[1], math.max(loss[4], now - tonumber(ARGV[4])))
loss[8] = now
if ARGV[5] == '1' then loss[5][gateway] = true end
redis.call('SET', KEYS[1], cmsgpack.pack(clock))

for index = 2, #KEYS do
  local at = 8 + count + (index - 2) * FIELDS
  local rate, burst = tonumber(ARGV[at]) / tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local told = { tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), math.min(loss[1], now - tonumber(ARGV[at + 5])), 0 }
  local text = stored[index]
  local state = read(text, { [2] = 'number', [3] = 'number', [4] = 'table', [5] = 'number' })
  -- What holds anything else is left alone.
  if state or not text and redis.call('EXISTS', KEYS[index]) == 0 then
    -- Nothing is stored of it since the loss: it refills from empty.
    state = state or { 1, 0, loss[1], {}, rate, 0, 0, false }
    if state[3] < loss[1] then
      -- As it was on a server that had missed some calls.
      if (state[6] or 0) > (state[8] and state[8][1] or 0) then
        state[8] = { state[6], state[2], state[3], state[8] and state[8][4] or 0 }
      end
      state[2], state[3], state[6] = math.min(0, state[2]), loss[1], loss[9]
    end
    local before = state[8]
    if not before or told[1] > before[1] then
      told[4] = before and before[4] or 0
      state[6], state[7], state[8] = state[6] or 0, state[7] or 0, told
    end
    local full_in = math.max(0, burst - state[2]) / rate
    redis.call('SET', KEYS[index], cmsgpack.pack(state), 'PX', math.min(LONGEST, math.ceil((full_in + 2 * RETENTION) / 1000)))
  end
end
return { 1 }
