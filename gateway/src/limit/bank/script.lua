-- The token bank: one call of one gateway for all limits of one shard that need tokens.
--
-- Invariant, for every limit with rate r and burst B:   level <= max(0, B - sum of has),   and a gateway never spends more
-- than its `has`. So over every stretch of time W at most B + r * W requests are admitted, whatever the number of gateways.
--
-- Permits (kind 'slots') come back when requests end and never refill. All gateways together have no more than the limit,
-- unless some went on alone; then no gateway gets more until enough requests have ended.
--
-- The order of the steps matters. The bucket is refilled first, under the cap that held while time passed; only then does
-- the caller's report lower its `has`. The other way round, spent tokens would make room for a refill of the same time in
-- which they were held.
--
-- KEYS[1]   clock of the shard;  KEYS[2..]  one key per limit
-- ARGV[1]   gateway: one name for each start of each process
-- ARGV[2]   sequence number of the call, growing for each gateway and shard
-- ARGV[3]   the gateway's monotonic clock when it sent the call, microseconds
-- ARGV[4]   duration of a lease, microseconds
-- ARGV[5]   '1' if no bank was kept before: then every bucket starts full
-- ARGV[6]   '1' if the connection is new: then it may be another server
-- ARGV[7]   sequence number of the gateway's last call that was answered; 0 if there is none, or not lately
-- ARGV[8]   '1' if it is the gateway's last call: the bank does not wait for the gateway any more
-- ARGV[9]   version of the gateway's last call that was answered; 0 if there is none
-- ARGV[10..] per limit: kind ('rate' or 'slots'), limit, window (microseconds), burst, held, returned, debt, want,
-- demand
--
-- Returns { fleet, open, version, known, state, asks, id, ..., granted, level, wait, granted, level, wait, ... }:
--   fleet     number of gateways that called lately
--   open      1 if the bank is open
--   version   version of this call, higher than that of each call before
--   known     microseconds in which no gateway that is gone has called
--   state     last loss of data: 0 none, 1 gateways are asked, 2 made good, 3 not made good
--   asks      the loss that the caller is asked about, 0 if none
--   id        one for each gateway that called lately
-- and for each limit:
--   granted   tokens granted; of permits, the number that the caller may have in all
--   level     whole tokens left, below 0 if owed
--   wait      microseconds until there may be more, 0 if there are
-- or { 'late' } for a call that arrived after a later one, or took so long that it does not count.
--
-- After a silence, after an outage, and on another server, the bank stays closed until every gateway that was there before
-- has called: it may have admitted requests alone, or know of calls that the server does not. Until then the bank takes
-- reports and grants nothing, and gateways go on alone.
--
-- After a loss of data, limits refill from empty since the loss. The gateways are asked for the levels that they know
-- (restore.lua). When every gateway that called before the loss has answered, each limit gets on top what was left of it at
-- the loss: the level after the latest call, if no gateway that is gone called later, else what refilled since the last
-- call of a gateway that is gone. docs/adr/0026 has the proof.

local CLOCK_STEP = 50000           -- a clock that gained more than this on the caller's was set
local SILENCE = 2000000            -- no living gateway is silent for longer
local SEEN_LATELY = 3000000
local QUIET = 1200000              -- a gateway that hears from the bank calls more often
local OUTAGE = 20000               -- a silence of this length may be an outage, if a call failed meanwhile
local CLOSED_FOR = 2000000         -- longest time that the bank stays closed for gateways that do not call again
local REVISIT = 100000             -- tokens that others hold may come back within this
local FORGOTTEN_AFTER = 3600000000 -- longer than a gateway assumes that its last answer is remembered
local RETENTION = 3600000000       -- time for which a full bucket is kept: a smaller step of the clock takes nothing away
local TURN = 1000000               -- time for which indivisible permits stay with the same gateways
local LONGEST = 1e13               -- longest time to keep a key, milliseconds: 300 years
local GIVING_UP = 3000000          -- longest wait for gateways after a loss, if none of them reports
local LONGEST_WINDOW = 86400000000 -- after this, every limit has refilled
local FIRST, FIELDS = 10, 9

local gateway, sequence, sent, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local answered, answered_version = tonumber(ARGV[7]), tonumber(ARGV[9])

-- Reads a value that this script stored; nil if it is anything else.
local function read(text, fields)
  local ok, value = pcall(cmsgpack.unpack, text)
  if not ok or type(value) ~= 'table' or value[1] ~= 1 then return nil end
  for index, kind in pairs(fields) do
    if type(value[index]) ~= kind then return nil end
  end
  return value
end

local function server()
  local ok, text = pcall(redis.call, 'INFO', 'server')
  return ok and type(text) == 'string' and string.match(text, 'run_id:(%w+)') or false
end

-- The number that stands for a gateway's name.
local function id(name)
  return tonumber(string.sub(name, 1, 12), 16) or 0
end

local stored = redis.call('MGET', unpack(KEYS))

-- Returns true if a key does not exist; one of another type does.
local function is_free(index)
  return not stored[index] and redis.call('EXISTS', KEYS[index]) == 0
end

-- Clock: { 1, epoch, offset, last, server, gateways = { name = { sequence, sent, at, gained } }, closed, version,
-- known_since, loss }. Version: of the last call. Known since: no gateway that is gone called after it. Loss: false, or
-- { at, version, ids, known_since, told, asked, outcome, told_at, first } (see restore.lua).
-- Bank time is the server's time plus offset; it never goes back, and it does not jump ahead of the callers' clocks. Values
-- from before the epoch do not count. Gained: the latest call of that gateway came so late that the clock may have been
-- set. Closed: false, or { since, earliest, latest, moved, proved }: gateways that called until `since` must call again, the
-- bank opens between `earliest` and `latest`, `moved` if the server is another one, `proved` if it remembered a caller.
local time = redis.call('TIME')
local raw = tonumber(time[1]) * 1000000 + tonumber(time[2])
local clock = stored[1] and read(stored[1], { [2] = 'number', [3] = 'number', [4] = 'number', [6] = 'table' })
local moved, was_kept = false, clock and true
if not clock then
  local epoch = ARGV[5] == '1' and is_free(1) and 0 or raw
  clock = { 1, epoch, 0, raw, server(), {}, false, 0, epoch, false }
elseif ARGV[6] == '1' then
  local current = server()
  moved = not current or current ~= clock[5]
  clock[5] = current
end
local now = raw + clock[3]
if now < clock[4] then
  clock[3] = clock[3] + clock[4] - now
  now = clock[4]
end
local gateways = clock[6]
local last = gateways[gateway]
local gained = 0
if last then
  if sequence <= last[1] then return { 'late' } end
  gained = (now - last[3]) - (sent - last[2])
  if gained <= CLOCK_STEP then
    gained = 0
  elseif not moved and not last[4] then
    -- The clock was set, or this call was held up, as on a server that stood still. Then nobody waits for it any more,
    -- and the time has really passed. The next call tells.
    gateways[gateway] = { sequence, last[2], last[3], true }
    redis.call('SET', KEYS[1], cmsgpack.pack(clock))
    return { 'late' }
  end
elseif next(gateways) then
  -- Whoever is new cannot tell a step of the clock from a time in which nobody called.
  gained = math.max(0, now - clock[4] - SILENCE)
end
if gained > 0 then
  local back = math.min(gained, now - clock[4])
  clock[3] = clock[3] - back
  now = now - back
end
-- Kept by an older script: it cannot say who was there.
if not clock[9] then clock[8], clock[9], clock[10] = clock[8] or 0, now, false end
-- Data was lost if an answered call is not remembered. A long step may have dropped keys as if their time had come. One
-- that was answered before the last loss, and is heard of for the first time since, is not remembered for that one.
local loss = clock[10]
local forgot = answered > 0 and not (last and last[1] >= answered)
local is_known = loss and not last and answered_version < loss[9]
local function lose()
  loss = { now, clock[8], {}, was_kept and clock[9] or 0, {}, {}, false, now, math.max(clock[8] + 1, now) }
  for name, seen in pairs(gateways) do
    if seen[3] >= clock[4] - SEEN_LATELY then loss[3][#loss[3] + 1] = id(name) end
  end
  clock[2], clock[9], clock[10] = now, now, loss
end
if forgot and not is_known or last and gained > RETENTION then lose() end
clock[8] = math.max(clock[8] + 1, now)
if loss and not loss[7] and answered > 0 and answered_version < loss[9] then loss[6][gateway] = true end
local closed = clock[7]
-- Calls of the caller failed. If nobody else was heard meanwhile, all may have been alone, and owe what they admitted.
local was_outage = sequence - answered > 1 and now - clock[4] > OUTAGE and not closed
if moved or now - clock[4] > QUIET or was_outage then
  moved = moved or closed and closed[4]
  closed = { clock[4], moved and now + QUIET or now, now + CLOSED_FOR, moved, false }
end
clock[4] = now
gateways[gateway] = ARGV[8] ~= '1' and { sequence, sent, now } or nil
if ARGV[8] == '1' then clock[9] = math.max(clock[9], now) end
local fleet, missing, ids = 0, 0, {}
for name, seen in pairs(gateways) do
  if seen[3] >= now - SEEN_LATELY then
    fleet = fleet + 1
    ids[fleet] = id(name)
  else
    clock[9] = math.max(clock[9], seen[3])
    if seen[3] < now - FORGOTTEN_AFTER then gateways[name] = nil end
  end
  if closed and name ~= gateway and seen[3] <= closed[1] and seen[3] > closed[1] - SEEN_LATELY then
    missing = missing + 1
  end
end
if closed then
  closed[5] = closed[5] or answered > 0 and not forgot
  if now >= closed[missing == 0 and 2 or 3] then
    -- Who does not call again may have known of calls that a replica that was promoted, or a restart from a file, has
    -- missed; and where nobody is remembered, nobody can tell.
    if closed[4] and (missing > 0 or not closed[5]) and not (loss and not loss[7]) then lose() end
    closed = false
  end
end
clock[7] = closed

-- Everybody has told who called before the loss: those that the latest of them knew of, and those who have called since.
local function all_told()
  if not next(loss[5]) then return false end
  local ids_told = {}
  for name in pairs(loss[5]) do ids_told[id(name)] = true end
  for _, one in ipairs(loss[3]) do
    if not ids_told[one] then return false end
  end
  for name in pairs(loss[6]) do
    if not loss[5][name] then return false end
  end
  return true
end
-- Whoever is there calls within this time, also one whom none of the others knew of.
if loss and not loss[7] and now >= loss[1] + QUIET then
  if all_told() then
    loss[7], loss[5], loss[6], loss[4] = 2, {}, {}, math.min(loss[1], loss[4] + lease)
    clock[9] = math.max(loss[4], clock[9] > loss[1] and clock[9] or 0)
  elseif now >= math.max(loss[1] + GIVING_UP, loss[8] + QUIET) then
    loss[7], loss[5], loss[6] = 3, {}, {}
  end
end
redis.call('SET', KEYS[1], cmsgpack.pack(clock))

local function keep(index, level, since, holders, rate, full_in, made_good, before)
  redis.call('SET', KEYS[index],
    cmsgpack.pack({ 1, level, since, holders, rate, clock[8], made_good or 0, before or false }),
    'PX', math.min(LONGEST, math.ceil((full_in + lease + RETENTION) / 1000)))
end

-- What was left of a limit at the loss, as far as it is known: { version, level, at, owed }, or nothing. It counts if no
-- gateway that is gone called later. As much of it as the limit has refilled since the loss counts as refilled then:
-- a full bucket does not refill.
local function left_at_loss(before, rate, burst)
  local at, known_since = loss[1], loss[4]
  local left = rate * math.max(0, at - known_since)
  if before and before[1] > 0 and before[3] >= known_since then
    left = before[2] + rate * math.max(0, at - before[3])
  end
  left = math.min(left, burst, burst - rate * (now - at))
  return math.max(0, left) - (before and before[4] or 0)
end

local function draw_rate(index, state, draw)
  local burst, held, returned, debt = draw.burst, draw.held, draw.returned, draw.debt
  local rate = draw.limit / draw.window

  -- Limit: { 1, level, time, holders = { name = { has, expiry, demand, rate } }, rate, version, made_good, before }. One that
  -- is not there has not been used for so long that it is full, as far as time since the epoch allows. Made good: the loss
  -- after which it got what was left then. Before: what is known of it from before the loss, see left_at_loss.
  local level, since, holders
  local made_good, before = state and state[7] or 0, state and state[8] or false
  if state then
    level, since, holders = state[2], state[3], state[4]
    if since < clock[2] then
      local version = state[6] or 0
      if loss and version < loss[9] and version > (before and before[1] or 0) then
        before = { version, level, since, before and before[4] or 0 }
      end
      level, since = math.min(0, level), clock[2]
    end
  elseif is_free(index) then
    level, since, holders = math.min(burst, rate * math.max(0, now - clock[2])), now, {}
  else
    level, since, holders = 0, now, {}
  end

  -- 1. Refill, under the cap that held while time passed. It is lifted when the last lease has ended.
  -- What has passed refills at the rate of then, and at the lowest that anybody told lately: who has had no request since
  -- a limit was lowered goes by the old one.
  local past = math.min(rate, state and state[5] or rate)
  local outstanding, last_expiry = 0, 0
  for _, holder in pairs(holders) do
    outstanding = outstanding + holder[1]
    last_expiry = math.max(last_expiry, holder[2])
    if holder[2] >= now then past = math.min(past, holder[4] or past) end
  end
  local capped_until = math.min(now, math.max(since, last_expiry))
  level = math.min(math.max(0, burst - outstanding), level + past * (capped_until - since))
  if last_expiry < now then
    level = math.min(burst, level + past * (now - capped_until))
  end

  -- What was left at the loss comes back once. With it there is no more than the burst: the next step sees to that.
  if loss and loss[7] == 2 and made_good ~= loss[1] then
    level = math.max(-burst, level + left_at_loss(before, rate, burst))
    made_good, before = loss[1], false
  end

  -- 2. Drop leases that have ended, and take the caller's report.
  local others, demands = 0, draw.demand
  local mine = 0
  for name, holder in pairs(holders) do
    if holder[2] < now then
      holders[name] = nil
    elseif name == gateway then
      mine = holder[1]
    else
      others = others + holder[1]
      demands = demands + holder[3]
    end
  end
  returned = math.min(returned, math.max(0, mine - held))
  level = math.min(level + returned, math.max(0, burst - others - held))
  -- Below nothing, debts are paid back from what refills.
  -- What was admitted alone before the epoch is no debt: nothing of what refilled meanwhile is there either.
  if not last or last[3] < clock[2] then
    debt = math.min(debt, 1 + rate * math.max(0, now - clock[2]))
  end
  level = math.max(-burst, level - debt)

  -- 3. Grant: everything wanted while there is plenty, else by demand, and at least one to whoever asks first.
  local available = closed and 0 or math.max(0, math.floor(level))
  local granted = math.min(draw.want, available)
  if draw.want > 0 and demands > draw.demand and available < demands then
    granted = math.min(granted, math.ceil(math.max(0, level) * draw.demand / demands))
  end
  level = level - granted
  holders[gateway] = (held + granted > 0 or draw.demand > 0) and { held + granted, now + lease, draw.demand, rate } or nil
  local wait = 0
  if level < 1 then wait = math.ceil((1 - level) / rate) end
  -- Others may give back what they hold, and what was left at a loss may come back.
  if others > 0 or loss and not loss[7] then wait = math.min(wait, REVISIT) end
  keep(index, level, now, holders, rate, (burst - level) / rate, made_good, before)
  return granted, math.floor(level), wait
end

-- The caller's part of slots that are too few for all: nobody gets more than it uses, who uses less than an equal part
-- leaves the rest to the others, and what cannot be divided goes round among those who want more.
local function part(limit, demand, holders)
  local users = { { gateway, demand } }
  for name, holder in pairs(holders) do
    if name ~= gateway then users[#users + 1] = { name, holder[3] } end
  end
  table.sort(users, function(one, other) return one[2] < other[2] end)
  local rest, equal = limit, 0
  for place, user in ipairs(users) do
    equal = math.floor(rest / (#users - place + 1))
    if user[2] > equal then break end
    rest = rest - user[2]
  end
  if demand <= equal then return demand end
  local more = {}
  for _, user in ipairs(users) do
    if user[2] > equal then more[#more + 1] = user[1] end
  end
  table.sort(more)
  local odd = rest - equal * #more
  for place, name in ipairs(more) do
    if name == gateway and (place + math.floor(now / TURN)) % #more < odd then return equal + 1 end
  end
  return equal
end

local function draw_slots(index, state, draw)
  local limit, held, want, demand = draw.limit, draw.held, draw.want, draw.demand
  -- Slots: the same, with level for the eye only, and for time the instant since which everything is known. After a loss
  -- of data, holders that have not reported yet are unknown until their leases would have ended.
  local known, holders = clock[2], {}
  if state then
    known, holders = math.max(known, state[3]), state[4]
  elseif not is_free(index) then
    known = now
  end
  local others, demands, short = 0, demand, false
  for name, holder in pairs(holders) do
    if holder[2] < now then
      holders[name] = nil
    elseif name ~= gateway then
      others = others + holder[1]
      demands = demands + holder[3]
      short = short or holder[3] > holder[1]
    end
  end
  local free = limit - others - held
  local may = held
  if free < 0 then
    may = math.max(0, held + free)
  elseif not closed and now - known >= lease then
    may = held + math.min(want, free)
  end
  if demands > limit then
    local mine = part(limit, demand, holders)
    may = math.min(may, short and mine or math.max(mine, held))
  end
  local has = math.max(held, may)
  holders[gateway] = (has > 0 or demand > 0) and { has, now + lease, demand } or nil
  local level = math.max(0, limit - others - has)
  keep(index, level, known, holders, limit, 0)
  if may < held + want then return may, 0, REVISIT end
  return may, level, 0
end

local outcome = 0
if loss and now - loss[1] < LONGEST_WINDOW then outcome = loss[7] or 1 end
local asks = loss and not loss[7] and loss[6][gateway] and not loss[5][gateway] and loss[1] or 0
local reply = { fleet, closed and 0 or 1, clock[8], now - clock[9], outcome, asks }
for _, one in ipairs(ids) do reply[#reply + 1] = one end
for index = 2, #KEYS do
  local at = FIRST + (index - 2) * FIELDS
  local draw = {
    limit = tonumber(ARGV[at + 1]), window = tonumber(ARGV[at + 2]), burst = tonumber(ARGV[at + 3]),
    held = tonumber(ARGV[at + 4]), returned = tonumber(ARGV[at + 5]), debt = tonumber(ARGV[at + 6]),
    want = tonumber(ARGV[at + 7]), demand = tonumber(ARGV[at + 8])
  }
  local text = stored[index]
  local state = text and read(text, { [2] = 'number', [3] = 'number', [4] = 'table', [5] = 'number' })
  local granted, level, wait = (ARGV[at] == 'slots' and draw_slots or draw_rate)(index, state, draw)
  reply[#reply + 1] = granted
  reply[#reply + 1] = level
  reply[#reply + 1] = wait
end
return reply
