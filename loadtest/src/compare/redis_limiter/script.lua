-- One request against several limits, all or nothing: it takes from every one of them, or from none.
--
-- Each limit is a token bucket by the generic cell rate algorithm: its key holds the instant at which the bucket is full
-- again, in microseconds of this server's clock. A missing key is a full bucket, so a key lives no longer than a bucket
-- takes to fill.
--
-- KEYS           one per limit
-- ARGV[2i - 1]   microseconds in which limit i refills by one request
-- ARGV[2i]       microseconds in which its empty bucket refills
--
-- Returns { wait, missing, missing, ... }: microseconds until the request can pass (0 if it passes), then per limit
-- the microseconds until its bucket is full.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local stored = redis.call('MGET', unpack(KEYS))
local full_at, wait = {}, 0
for i = 1, #KEYS do
    local interval, depth = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    full_at[i] = math.max(tonumber(stored[i] or 0), now)
    wait = math.max(wait, full_at[i] + interval - depth - now)
end

local reply = { wait }
for i = 1, #KEYS do
    if wait == 0 then
        local interval, depth = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
        full_at[i] = full_at[i] + interval
        redis.call('SET', KEYS[i], string.format('%.0f', full_at[i]), 'PX', math.ceil(depth / 1000))
    end
    reply[i + 1] = full_at[i] - now
end
return reply
