-- Keeps the latest instance data of an Edge.
--
-- KEYS  1 the hash of all Edges
-- ARGV  the Edge's identifier, its data as a JSON object without the first
--       brace, how many Edges are kept, seconds until all are forgotten if
--       none reports
-- Returns 1.  Can be repeated.

local edges, identifier = KEYS[1], ARGV[1]
local now = tonumber(redis.call('TIME')[1])

-- Every value begins like this, so that the oldest can be found.  A time that is
-- ahead is from before Redis's clock was set back, and no Edge reported since.
local function received(value)
	local time = tonumber(string.match(value, '^{"received":(%d+),')) or 0
	return time <= now and time or 0
end

-- A new Edge takes the place of the one that has been silent for longest.
if redis.call('HEXISTS', edges, identifier) == 0 and
	redis.call('HLEN', edges) >= tonumber(ARGV[3]) then
	local all = redis.call('HGETALL', edges)
	local oldest = 1
	for i = 3, #all, 2 do
		if received(all[i + 1]) < received(all[oldest + 1]) then
			oldest = i
		end
	end
	redis.call('HDEL', edges, all[oldest])
end
redis.call('HSET', edges, identifier,
	string.format('{"received":%d,', now) .. ARGV[2])
redis.call('EXPIRE', edges, ARGV[4])
return 1
