-- Keeps the latest instance data of an Edge.
--
-- KEYS  1 the hash of all Edges
-- ARGV  the Edge's identifier, its data as a JSON object without the first
--       brace, the environment that its token is for, how many Edges are kept,
--       seconds until all are forgotten if none reports
-- Returns 1, or the identifier and the environment of an Edge that had to make
-- room.  Can be repeated.

local edges, identifier, environment = KEYS[1], ARGV[1], ARGV[3]
local now = tonumber(redis.call('TIME')[1])

-- Every value begins with these two members.  A time that is ahead is from before
-- Redis's clock was set back, and no such Edge has reported since.
local function head(value)
	local received, of = string.match(value,
		'^{"received":(%d+),"environment":"([^"]*)",')
	local time = tonumber(received) or 0
	return time <= now and time or 0, of or ''
end

-- A new Edge beyond the cap takes the place of the one that has been silent for
-- longest, of the environment that has most of them, with the new one: so no
-- sender takes more than a fair share of the places from others.
local function make_room()
	local all = redis.call('HGETALL', edges)
	local counts, oldest = { [environment] = 1 }, {}
	for i = 1, #all, 2 do
		local received, of = head(all[i + 1])
		counts[of] = (counts[of] or 0) + 1
		if not oldest[of] or received < oldest[of].received then
			oldest[of] = { received = received, identifier = all[i] }
		end
	end
	local most
	for of, found in pairs(oldest) do
		if not most or counts[of] > counts[most] or
			counts[of] == counts[most] and (of == environment or
			most ~= environment and found.received < oldest[most].received) then
			most = of
		end
	end
	redis.call('HDEL', edges, oldest[most].identifier)
	return { oldest[most].identifier, most }
end

local dropped
if redis.call('HEXISTS', edges, identifier) == 0 and
	redis.call('HLEN', edges) >= tonumber(ARGV[4]) then
	dropped = make_room()
end
redis.call('HSET', edges, identifier, string.format(
	'{"received":%d,"environment":"%s",', now, environment) .. ARGV[2])
redis.call('EXPIRE', edges, ARGV[5])
return dropped or 1
