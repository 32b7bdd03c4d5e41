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

local function wrong_type(key, expected)
	local actual = redis.call('TYPE', key).ok
	if actual ~= 'none' and actual ~= expected then
		return 'REFUSED ' .. key .. ' is a ' .. actual .. ', not a ' .. expected
	end
end

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
local features = {}
while at < #ARGV do
	local feature = { name = take() }
	local count = tonumber(take())
	feature.from, feature.to = at + 1, at + 2 * count
	at = feature.to
	features[#features + 1] = feature
end

-- Read: was it done before, can it be done, what is beyond a cap?
local refusal = wrong_type(writer, 'string')
if refusal then
	return redis.error_reply(refusal)
end
local before = redis.call('GET', writer)
if before and tonumber(before) >= tonumber(sequence) then
	return { 1, 0, 0 }
end
refusal = wrong_type(seen, 'zset')
if #registrations > 0 then
	refusal = refusal or wrong_type(instances, 'hash') or
		wrong_type(instances_seen, 'zset')
end
for i = 5, #KEYS do
	refusal = refusal or wrong_type(KEYS[i], 'hash')
end
if refusal then
	return redis.error_reply(refusal)
end

-- Features that are new to a bucket count only up to the cap.  Those that a
-- bucket has are the ones seen since it began, so the cap is held against
-- their number, and that only if it may be reached at all.
local features_dropped = 0
local function cap_features()
	local count = redis.call('ZCOUNT', seen, since, '+inf')
	for _, feature in ipairs(features) do
		local latest = redis.call('ZSCORE', seen, feature.name)
		if not latest or tonumber(latest) < tonumber(since) then
			if count >= features_max then
				feature.dropped = true
				features_dropped = features_dropped + 1
			else
				count = count + 1
			end
		end
	end
end
if features_max > 0 and redis.call('ZCARD', seen) + #features > features_max then
	cap_features()
end

-- Write.  The increments are the only thing that must not happen twice or by
-- half, and the only thing that is undone.
local increments = {}
local function increment(key, feature)
	for i = feature.from, feature.to, 2 do
		local field = feature.name .. ':' .. ARGV[i]
		redis.call('HINCRBY', key, field, ARGV[i + 1])
		local n = #increments
		increments[n + 1] = key
		increments[n + 2] = field
		increments[n + 3] = ARGV[i + 1]
	end
end

local function apply()
	redis.call('SET', writer, sequence, 'EX', lifetime)
	local latest = {}
	for _, feature in ipairs(features) do
		if not feature.dropped then
			latest[#latest + 1] = start
			latest[#latest + 1] = feature.name
			for i = 5, #KEYS do
				increment(KEYS[i], feature)
			end
		end
	end
	if #latest > 0 then
		redis.call('ZADD', seen, 'GT', unpack(latest))
		for i = 5, #KEYS do
			redis.call('EXPIREAT', KEYS[i], expire[i])
		end
	end
end

local instances_dropped = 0
local function register()
	local old = redis.call('ZRANGEBYSCORE', instances_seen, '-inf', '(' .. prune_before,
		'LIMIT', 0, 500)
	if #old > 0 then
		redis.call('HDEL', instances, unpack(old))
		redis.call('ZREM', instances_seen, unpack(old))
	end
	local count = redis.call('HLEN', instances)
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

local function undo()
	for i = 1, #increments, 3 do
		local key, field = increments[i], increments[i + 1]
		redis.call('HINCRBY', key, field, '-' .. increments[i + 2])
		if redis.call('HGET', key, field) == '0' then
			redis.call('HDEL', key, field)
		end
	end
	if before then
		redis.call('SET', writer, before, 'EX', lifetime)
	else
		redis.call('DEL', writer)
	end
end

local done, failure = pcall(apply)
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
