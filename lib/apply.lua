-- Applies what a group counts under one {env:app}, once and whole.
--
-- KEYS  1 writer  2 seen  3 instances  4 instances:seen  5... the buckets into
--       which the features count: an hour, its day, or both
-- ARGV  sequence, seconds that the writer's key lives,
--       cap of features, cap of instances, instances seen before this go,
--       start of the finest bucket, start of the coarsest,
--       when each bucket expires,
--       number of instances, and for each of them: name, registration, when,
--       and for each feature: name, number of counters, and for each of them:
--         end of its field, count
-- Returns {1 if done before, features dropped, instances dropped}, or an error
-- that begins with REFUSED if it can never be applied.  In any case of error
-- nothing has changed.

local writer, seen = KEYS[1], KEYS[2]
local instances, instances_seen = KEYS[3], KEYS[4]
local sequence = string.match(ARGV[1], '^0*(%d+)$')
local lifetime = ARGV[2]
local features_max, instances_max = tonumber(ARGV[3]), tonumber(ARGV[4])
local prune_before = ARGV[5]

local at = 5
local function take()
	at = at + 1
	return ARGV[at]
end

-- Parse the arguments; nothing has been read or written yet.
local start, since = take(), take()
local expire = {}
for i = 5, #KEYS do
	expire[i] = take()
end
local registrations = {}
for i = 1, tonumber(take()) do
	registrations[i] = { take(), take(), take() }
end

-- The fields to count in, no two of them alike, and by how much, as text and
-- as numbers; of each feature its name and the place of its first field.
local fields, counts, numbers = {}, {}, {}
local names, first = {}, {}
local function add_feature(name, from, to)
	local n = #fields
	names[#names + 1] = name
	first[#names] = n + 1
	name = name .. ':'
	for i = from, to, 2 do
		n = n + 1
		fields[n], counts[n], numbers[n] = name .. ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 1])
	end
end

-- Read: was it done before, can it be done, what is beyond a cap?  A key of
-- another type is found by reading it, before anything is written.
local function read(expected, command, key, ...)
	local reply = redis.pcall(command, key, ...)
	if type(reply) == 'table' and reply.err then
		local actual = redis.call('TYPE', key).ok
		if actual ~= 'none' and actual ~= expected then
			error('REFUSED ' .. key .. ' is a ' .. actual .. ', not a ' .. expected, 0)
		end
		error(reply.err, 0)
	end
	return reply
end

-- Features that are new to a bucket count only up to the cap.  Those that a
-- bucket has are the ones seen since it began, so the cap is held against
-- their number, and that only if it may be reached at all.
local features_dropped = 0
local seen_count, seen_since
local function has_room(name, more)
	if features_max == 0 or seen_count + more <= features_max then
		return true
	end
	seen_since = seen_since or redis.call('ZCOUNT', seen, since, '+inf')
	local latest = redis.call('ZSCORE', seen, name)
	if latest and tonumber(latest) >= tonumber(since) then
		return true
	elseif seen_since >= features_max then
		features_dropped = features_dropped + 1
		return false
	end
	seen_since = seen_since + 1
	return true
end

-- What each bucket has in the fields; few enough for one command.
local held = {}
local function read_buckets()
	seen_count = read('zset', 'ZCARD', seen)
	-- A feature takes four arguments or more.
	local more = (#ARGV - at) / 4
	while at < #ARGV do
		local name, from, to = ARGV[at + 1], at + 3, at + 2 + 2 * ARGV[at + 2]
		if has_room(name, more) then
			add_feature(name, from, to)
		end
		at = to
	end
	for i = 5, #KEYS do
		held[i] = #fields > 0 and read('hash', 'HMGET', KEYS[i], unpack(fields))
	end
end

local before, old_instances, instance_count
local function look()
	before = read('string', 'GET', writer)
	if before and tonumber(before) >= tonumber(sequence) then
		return true
	end
	read_buckets()
	if #registrations > 0 then
		instance_count = read('hash', 'HLEN', instances)
		old_instances = read('zset', 'ZRANGEBYSCORE', instances_seen, '-inf',
			'(' .. prune_before, 'LIMIT', 0, 500)
	end
end

local looked, failure = pcall(look)
if not looked then
	return redis.error_reply(type(failure) == 'table' and failure.err or failure)
elseif failure then
	return { 1, 0, 0 }
end

-- Write.  The counts are the only thing that must not happen twice or by half,
-- and the only thing that is undone.

-- Are these numbers, as far as they are there, integers as Redis writes them?
local function are_plain(texts)
	local all, text = pcall(table.concat, texts, ',')
	if not all then
		local present = {}
		for i = 1, #fields do
			present[i] = texts[i] or '1'
		end
		text = table.concat(present, ',')
	end
	text = ',' .. text .. ','
	return not string.find(text, '[^%d,]') and not string.find(text, ',[0,]')
end

-- Count in one bucket.  Lua's numbers are exact up to 2^53; what is larger, or
-- no integer at all, is left to HINCRBY, which knows what to refuse.
local written = {}
local function count_in(key, old)
	local format, tonumber = string.format, tonumber
	local exact = are_plain(old)
	local changes = {}
	written[#written + 1] = { key, old }
	for i = 1, #fields do
		local sum = numbers[i]
		if old[i] then
			sum = sum + (tonumber(old[i]) or 2 ^ 53)
		end
		exact = exact and sum < 2 ^ 53
		changes[2 * i - 1], changes[2 * i] = fields[i], format('%d', sum)
	end
	if exact then
		redis.call('HSET', key, unpack(changes))
		return
	end
	for i = 1, #fields do
		redis.call('HINCRBY', key, fields[i], counts[i])
	end
end

-- The features that the finest bucket has no field of: not seen in it yet.
local function new_features(old)
	local latest = {}
	for i = 1, #names do
		local new = true
		for j = first[i], (first[i + 1] or #fields + 1) - 1 do
			new = new and not old[j]
		end
		if new then
			latest[#latest + 1] = start
			latest[#latest + 1] = names[i]
		end
	end
	return latest
end

local function apply()
	redis.call('SET', writer, sequence, 'EX', lifetime)
	if #fields == 0 then
		return
	end
	for i = 5, #KEYS do
		count_in(KEYS[i], held[i])
	end
	local latest = new_features(held[5])
	if #latest > 0 then
		redis.call('ZADD', seen, 'GT', unpack(latest))
	end
	for i = 5, #KEYS do
		redis.call('EXPIREAT', KEYS[i], expire[i])
	end
end

local instances_dropped = 0
local function register()
	if #old_instances > 0 then
		redis.call('HDEL', instances, unpack(old_instances))
		redis.call('ZREM', instances_seen, unpack(old_instances))
		instance_count = redis.call('HLEN', instances)
	end
	local count = instance_count
	for _, registration in ipairs(registrations) do
		local name, when = registration[1], registration[3]
		local known = redis.call('HEXISTS', instances, name) == 1
		local latest = known and redis.call('ZSCORE', instances_seen, name)
		-- What has come late does not replace what was reported later.
		local late = latest and tonumber(latest) > tonumber(when)
		if not known and instances_max > 0 and count >= instances_max then
			instances_dropped = instances_dropped + 1
		elseif not late then
			redis.call('HSET', instances, name, registration[2])
			redis.call('ZADD', instances_seen, 'GT', when, name)
			count = known and count or count + 1
		end
	end
end

-- Nothing here may stop the rest, not even a right that Redis' ACL does not
-- give us: a writer that looks done would lose what is undone.
local function undo()
	for _, bucket in ipairs(written) do
		local key, old = bucket[1], bucket[2]
		for i, field in ipairs(fields) do
			if old[i] then
				redis.pcall('HSET', key, field, old[i])
			elseif type(redis.pcall('HDEL', key, field)) == 'table' then
				redis.pcall('HSET', key, field, '0')
			end
		end
	end
	if before or type(redis.pcall('DEL', writer)) == 'table' then
		redis.pcall('SET', writer, before or '0', 'EX', lifetime)
	end
end

local done
done, failure = pcall(apply)
if done and #registrations > 0 then
	done, failure = pcall(register)
end
if not done then
	-- Redis 7 raises a table, Redis 6 a text with the place before it.
	local text = type(failure) == 'table' and failure.err or
		string.gsub(failure, '^.-user_script: ?%d+: %-?', '')
	undo()
	if string.find(text, 'overflow', 1, true) or
	    string.find(text, 'not an integer', 1, true) or
	    string.find(text, 'WRONGTYPE', 1, true) then
		text = 'REFUSED ' .. text
	end
	return redis.error_reply(text)
end
return { 0, features_dropped, instances_dropped }
