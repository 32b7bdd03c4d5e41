-- Admits members to a list that has a cap for each environment.
--
-- KEYS  1 the list, a sorted set  2 its shares, a hash: to which environment's
--       share each member belongs, and with a # before it how many there are of
--       each environment; ## has the number of all
-- ARGV  the longer retention, cap of an environment, cap of all (0: none), and
--       for each member: the environment, the member
-- Returns for each member 1 if it is on the list, or 0.  Can be repeated.

local list, shares = KEYS[1], KEYS[2]
local now = tonumber(redis.call('TIME')[1])
local retention, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local most_in_all = tonumber(ARGV[3])

-- The most to remove at once, so that it does not take long.
local PRUNED_MAX = 100

local function add_share(member, environment)
	redis.call('HSET', shares, member, environment)
	redis.call('HINCRBY', shares, '#' .. environment, 1)
	redis.call('HINCRBY', shares, '##', 1)
end

local function remove_share(member)
	local environment = redis.call('HGET', shares, member)
	if environment then
		redis.call('HDEL', shares, member)
		redis.call('HINCRBY', shares, '#' .. environment, -1)
		redis.call('HINCRBY', shares, '##', -1)
	end
end

-- Members that were removed by hand, or listed before there was a cap.
local function recount()
	local before = redis.call('HGETALL', shares)
	local environment_of = {}
	for i = 1, #before, 2 do
		environment_of[before[i]] = before[i + 1]
	end
	redis.call('UNLINK', shares)
	for _, member in ipairs(redis.call('ZRANGE', list, 0, -1)) do
		add_share(member, environment_of[member] or string.match(member, '^(.*):') or '')
	end
end

local count = redis.call('ZCARD', list)
if tonumber(redis.call('HGET', shares, '##') or 0) ~= count then
	recount()
end

-- A time that is ahead is from before Redis's clock was set back.  It becomes
-- now, or its member would not be pruned until then.
for _, member in ipairs(redis.call('ZRANGEBYSCORE', list, '(' .. now, '+inf',
	'LIMIT', 0, PRUNED_MAX)) do
	redis.call('ZADD', list, now, member)
end

-- The data of a member that has not reported for so long expires separately.
local pruned = false
local function prune()
	local old = redis.call('ZRANGEBYSCORE', list, '-inf', '(' .. now - retention,
		'LIMIT', 0, PRUNED_MAX)
	for _, member in ipairs(old) do
		redis.call('ZREM', list, member)
		remove_share(member)
	end
	count = count - #old
	pruned = true
end

local function has_room(environment)
	return (most_in_all == 0 or count < most_in_all) and
		tonumber(redis.call('HGET', shares, '#' .. environment) or 0) < most
end

local admitted = {}
for i = 4, #ARGV, 2 do
	local environment, member = ARGV[i], ARGV[i + 1]
	local known = redis.call('ZSCORE', list, member)
	if not known and not has_room(environment) and not pruned then
		prune()
	end
	if not known and has_room(environment) then
		add_share(member, environment)
		count = count + 1
		known = true
	end
	if known then
		redis.call('ZADD', list, now, member)
	end
	admitted[#admitted + 1] = known and 1 or 0
end
return admitted
