-- Admits members to a list that has a cap.
--
-- KEYS  1 the list, a sorted set
-- ARGV  the longer retention, cap, what is under the tag of a member that is
--       removed, with spaces between, and the members
-- Returns for each member 1 if it is on the list, or 0.  Can be repeated.

local list, now = KEYS[1], tonumber(redis.call('TIME')[1])
local retention, most, rests = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local prefix = string.match(list, '^(.*):[^:]*$')

-- So many at once, so that it is not for long.
local PRUNED_MAX = 100

-- A key is there, whose names are of more keys: an environment's metrics.
local function forget_names(key)
	for _, name in ipairs(redis.call('SMEMBERS', key)) do
		redis.call('UNLINK', key .. ':' .. name, key .. ':' .. name .. ':when',
			key .. ':' .. name .. ':bounds')
	end
end

-- What does not expire by itself goes with the member.
local function forget(member)
	for rest in string.gmatch(rests, '%S+') do
		local key = prefix .. ':{' .. member .. '}:' .. rest
		if rest == 'impact' and redis.call('TYPE', key).ok == 'set' then
			forget_names(key)
		end
		redis.call('UNLINK', key)
	end
end

local count = redis.call('ZCARD', list)
local pruned = false
local function prune()
	local old = redis.call('ZRANGEBYSCORE', list, '-inf', '(' .. now - retention,
		'LIMIT', 0, PRUNED_MAX)
	for _, member in ipairs(old) do
		forget(member)
		redis.call('ZREM', list, member)
	end
	count = count - #old
	pruned = true
end

local admitted = {}
for i = 4, #ARGV do
	local known = redis.call('ZSCORE', list, ARGV[i])
	if not known and count >= most and not pruned then
		prune()
	end
	if known or count < most then
		redis.call('ZADD', list, now, ARGV[i])
		count = known and count or count + 1
		known = true
	end
	admitted[i - 3] = known and 1 or 0
end
return admitted
