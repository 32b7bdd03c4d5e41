-- Applies what a group counts under one {env:app}, once and whole.
--
-- KEYS  1 writer  2 seen  3 instances  4 instances:seen  5... the buckets into
--       which the features count: an hour, its day, or both; then the late
--       buckets; and if there is a feed or a channel, the feed
-- ARGV  the call's number, seconds that the writer's key lives,
--       caps of features, variants, late buckets and instances, the longer
--       retention, if the feed is among the keys: its cap (0: none is kept) and
--       the channel for changes (empty: none),
--       for each bucket: its start, its length and its retention,
--       number of instances, and for each of them: name, registration, seconds
--       since it was reported,
--       and for each feature: name, number of counters, and for each of them:
--         end of its field, count
--
-- All times are held against Redis's own clock, which also decides when a key
-- expires: no other clock can shorten a key's life.  A time that is ahead of it
-- comes from a clock that was wrong, perhaps Redis's own one before it was set
-- back, and takes precedence over nothing.
--
-- The number is an integer that grows from call to call, and after it a random
-- part by which two calls differ that have the same integer.
--
-- Returns {1 if done before, 2 if another call was done that comes after it or
-- has the same integer; dropped features, instances, variants, and features
-- of late buckets: of each how many, and which argument was the first one}, or
-- an error that begins with REFUSED if it can never be applied.  In any case of
-- error nothing has changed.

local writer, seen = KEYS[1], KEYS[2]
local instances, instances_seen = KEYS[3], KEYS[4]
local number = ARGV[1]
local lifetime = ARGV[2]
local features_max, variants_max = tonumber(ARGV[3]), tonumber(ARGV[4])
local late_max, instances_max = tonumber(ARGV[5]), tonumber(ARGV[6])
local longest = tonumber(ARGV[7])
local now = tonumber(redis.call('TIME')[1])

-- Seconds of the coarsest bucket, or more.
local DAY = 86400

local at = 7
local function take()
	at = at + 1
	return ARGV[at]
end

-- Parse the arguments; nothing has been read or written yet.
local feed
if string.sub(KEYS[#KEYS], -5) == ':feed' then
	feed = { key = table.remove(KEYS), most = take(), channel = take() }
end
-- Of the keys from 5 on the buckets are left.
local late = table.remove(KEYS)
local starts, life, late_life = {}, {}, {}
for i = 5, #KEYS do
	local start, length, retention = tonumber(take()), tonumber(take()), tonumber(take())
	local ahead = start > now + DAY
	starts[i] = start
	-- A bucket far ahead would stay until then, so it expires relative to the
	-- time of writing.
	life[i] = retention + (ahead and 0 or math.max(start + length - now, 0))
	if late_max > 0 and (ahead or start + length + retention < now) then
		late_life[i] = retention
	end
	-- Features were seen at the start of the finest bucket, or if that is
	-- ahead, of the one that it is now.
	if i == 5 and start > now then
		starts.seen = now - now % length
	end
end
-- Start of the coarsest bucket.
local since = starts[#KEYS] and math.min(starts[#KEYS], starts.seen or math.huge)
local registrations = {}
for i = 1, tonumber(take()) do
	registrations[i] = { take(), take(), now - take(), at - 2 }
end

-- The fields to count in, no two of them alike, and by how much, as text and
-- as numbers, and where the first feature and the first field are in the
-- arguments; of each feature its name and the place of its first field.
local fields, counts, numbers, argument = {}, {}, {}, {}
local names, first, first_name = {}, {}
local function add_feature(name, from, to)
	local n = #fields
	names[#names + 1] = name
	first[#names] = n + 1
	first_name = first_name or from - 2
	name = name .. ':'
	for i = from, to, 2 do
		n = n + 1
		argument[n] = i
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
-- bucket has were seen since it began, and if it is the latest one not after
-- it, so the cap is held against the number of these, and that only if it may
-- be reached at all.  A bucket that is not the latest one may come to have
-- more; see beyond_caps.
local features_dropped, feature_dropped = 0, 0
local seen_count, seen_since
local function has_room(name, more)
	if features_max == 0 or seen_count + more <= features_max then
		return true
	end
	seen_since = seen_since or
		redis.call('ZCOUNT', seen, since, '(' .. since + DAY)
	local latest = redis.call('ZSCORE', seen, name)
	if latest and tonumber(latest) >= since then
		return true
	elseif seen_since >= features_max then
		features_dropped = features_dropped + 1
		return false
	end
	seen_since = seen_since + 1
	return true
end

-- A bucket that is late, or far ahead, is made only if there is a place for it
-- among those that are so: a sender can invent any number of times.  One that
-- is there from when it was not late goes on counting, but lives no longer.
local places = {}
local late_dropped = 0
local function has_place(i)
	if not late_life[i] then
		return true
	end
	local name = string.sub(KEYS[i], #seen - 3)
	local until_then = tonumber(read('zset', 'ZSCORE', late, name) or 0)
	if (until_then < now or until_then > now + longest) and
	    read('zset', 'ZCOUNT', late, now, now + longest) + #places / 2 >= late_max then
		life[i] = nil
		return redis.call('EXISTS', KEYS[i]) == 1
	end
	places[#places + 1] = now + late_life[i]
	places[#places + 1] = name
	return true
end

-- The fields' values in each bucket that counts; few enough for one command.
local held = {}
local function read_buckets()
	seen_count = read('zset', 'ZCARD', seen)
	-- A feature takes four arguments or more.
	local more = (#ARGV - at) / 4
	while at < #ARGV do
		local name, from, to = ARGV[at + 1], at + 3, at + 2 + 2 * ARGV[at + 2]
		if has_room(name, more) then
			add_feature(name, from, to)
		elseif features_dropped == 1 then
			feature_dropped = from - 2
		end
		at = to
	end
	local any = false
	for i = 5, #KEYS do
		if #fields > 0 and has_place(i) then
			held[i] = read('hash', 'HMGET', KEYS[i], unpack(fields))
			any = true
		else
			late_dropped = math.max(late_dropped, #names)
		end
	end
	if not any then
		fields = {}
	end
end

local before, old_instances, instance_count
local function look()
	before = read('string', 'GET', writer)
	if before and tonumber(string.match(before, '^%d+')) >= tonumber(string.match(number, '^%d+')) then
		-- A write, so that WAIT behind it waits for those of the first time, too.
		read('string', 'EXPIRE', writer, lifetime)
		return before == number and 1 or 2
	end
	read_buckets()
	if #registrations > 0 then
		instance_count = read('hash', 'HLEN', instances)
		old_instances = read('zset', 'ZRANGEBYSCORE', instances_seen, '-inf',
			'(' .. now - longest, 'LIMIT', 0, 500)
	end
end

local looked, failure = pcall(look)
if not looked then
	return redis.error_reply(type(failure) == 'table' and failure.err or failure)
elseif failure then
	return { failure, 0, 0, 0, 0, 0, 0, 0, 0 }
elseif #fields == 0 and #registrations == 0 then
	-- Nothing is to be done once only, so nothing of it need be remembered.
	return { 0, features_dropped, feature_dropped, 0, 0, 0, 0, late_dropped, first_name or 0 }
end

-- Write.  The counts are the only thing that must not happen twice or by half,
-- and the only thing that is undone.

-- Are those of these numbers that exist integers as Redis writes them?
-- And are all of them there?
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
	return not string.find(text, '[^%d,]') and not string.find(text, ',[0,]'), all
end

-- The fields that a bucket lacks and has no room for, or nil: of variants where
-- it has as many fields as variants may, of features two for each more.
local variants_dropped, variant_dropped = 0, 0
local left_out = {}
local function beyond_caps(key, old)
	local size = variants_max > 0 and redis.call('HLEN', key)
	if not size or size + #fields <= variants_max then
		return
	end
	local size_max = features_max > 0 and variants_max + 2 * features_max or math.huge
	local beyond = {}
	for i = 1, #fields do
		local variant = string.find(fields[i], ':variant:', 1, true)
		if not old[i] and size >= (variant and variants_max or size_max) then
			beyond[i] = true
			if left_out[i] then
				-- The other bucket has no room either.
			elseif variant then
				variants_dropped = variants_dropped + 1
				variant_dropped = variants_dropped == 1 and argument[i] or variant_dropped
			else
				features_dropped = features_dropped + 1
				feature_dropped = features_dropped == 1 and argument[i] or feature_dropped
			end
			left_out[i] = true
		elseif not old[i] then
			size = size + 1
		end
	end
	return next(beyond) and beyond
end

-- Count in one bucket.  Lua's numbers are exact up to 2^53; what is larger, or
-- no integer at all, is left to HINCRBY, which knows what to refuse.
local written = {}
local function count_in(key, old)
	local format, tonumber = string.format, tonumber
	local exact, all = are_plain(old)
	local beyond = not all and beyond_caps(key, old)
	local changes = {}
	written[#written + 1] = { key, old, beyond, changes }
	for i = 1, #fields do
		local sum = numbers[i]
		if old[i] then
			sum = sum + (tonumber(old[i]) or 2 ^ 53)
		end
		exact = exact and sum < 2 ^ 53
		changes[2 * i - 1], changes[2 * i] = fields[i], format('%d', sum)
	end
	if exact and not beyond then
		redis.call('HSET', key, unpack(changes))
		return
	end
	for i = 1, #fields do
		if not (beyond and beyond[i]) then
			redis.call('HINCRBY', key, fields[i], counts[i])
		end
	end
end

-- The features that the finest bucket has no field of: not seen in it yet.
local function new_features(old)
	local latest = {}
	for i = 1, #names do
		local new, counted = true, false
		for j = first[i], (first[i + 1] or #fields + 1) - 1 do
			new = new and not old[j]
			counted = counted or not left_out[j]
		end
		if new and counted then
			latest[#latest + 1] = starts.seen or starts[5]
			latest[#latest + 1] = names[i]
		end
	end
	return latest
end

-- These live as long as the application reports anything: one that has not for
-- the longer retention may have lost its place on the list, and is forgotten.
local function keep()
	for i = 2, 4 do
		redis.call('EXPIRE', KEYS[i], longest + DAY)
	end
end

-- Times that are ahead, from before Redis's clock was set back, become one that
-- is not, or their members would be the last ones until then.
local function bring_back(key, time)
	local ahead = redis.call('ZRANGEBYSCORE', key, '(' .. now, '+inf', 'LIMIT', 0, 1000)
	for _, name in ipairs(ahead) do
		redis.call('ZADD', key, time, name)
	end
end

-- Note when features were seen.  The list of features may have ten times as many
-- as a bucket; beyond that those not evaluated for longest are removed.
local function note_seen(latest)
	bring_back(seen, now - now % DAY)
	redis.call('ZADD', seen, 'GT', unpack(latest))
	local added, seen_max = #latest / 2, 10 * features_max
	if features_max == 0 or seen_count + added <= seen_max then
		return
	end
	local beyond = redis.call('ZCARD', seen) - seen_max
	if beyond > 0 then
		redis.call('ZREMRANGEBYRANK', seen, 0, math.min(beyond, 1000) - 1)
	end
end

local function apply()
	redis.call('SET', writer, number, 'EX', lifetime)
	if #fields == 0 then
		return
	end
	if #places > 0 then
		redis.call('ZREMRANGEBYSCORE', late, '-inf', '(' .. now)
		redis.call('ZREMRANGEBYSCORE', late, '(' .. now + longest, '+inf')
		redis.call('ZADD', late, unpack(places))
		redis.call('EXPIRE', late, longest)
	end
	for i = 5, #KEYS do
		if held[i] then
			count_in(KEYS[i], held[i])
		end
	end
	local latest = new_features(held[5] or held[6])
	if #latest > 0 then
		note_seen(latest)
		keep()
	end
	for i = 5, #KEYS do
		if held[i] and life[i] then
			redis.call('EXPIRE', KEYS[i], life[i])
		end
	end
end

local instances_dropped, instance_dropped = 0, 0
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
		local latest = tonumber(known and redis.call('ZSCORE', instances_seen, name) or 0)
		-- A late registration does not replace one that was reported later.
		local late = latest > when and latest <= now
		if not known and instances_max > 0 and count >= instances_max then
			instances_dropped = instances_dropped + 1
			instance_dropped = instances_dropped == 1 and registration[4] or instance_dropped
		elseif not late then
			redis.call('HSET', instances, name, registration[2])
			redis.call('ZADD', instances_seen, when, name)
			count = known and count or count + 1
		end
	end
	bring_back(instances_seen, now)
	keep()
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

-- Announce the changes to readers: last, as this cannot be undone.
if done and feed and #fields > 0 then
	-- An entry of the feed has the finest bucket that counted its fields.
	local function add_entry(key, entry)
		if #entry == 0 then
			return
		end
		local reply = redis.pcall('XADD', feed.key, 'MAXLEN', '~', feed.most, '*',
			'period', string.sub(key, #seen - 3), unpack(entry))
		if type(reply) == 'table' then
			read('stream', 'XLEN', feed.key)
			error(reply.err, 0)
		end
	end

	-- Two buckets differ if only one of them has a place, or is at a cap;
	-- "only" says that this is an hour whose day did not count it.
	local function add_differing(fine, coarse)
		local left_fine, left_coarse = fine and fine[3] or {}, coarse and coarse[3] or {}
		local both, in_fine, in_coarse = {}, {}, {}
		for i = 1, #fields do
			local a, b = fine and not left_fine[i], coarse and not left_coarse[i]
			local entry = a and b and both or a and in_fine or b and in_coarse or {}
			entry[#entry + 1], entry[#entry + 2] = fields[i], counts[i]
		end
		if #in_fine > 0 and #KEYS > 5 then
			in_fine = { 'only', 'hour', unpack(in_fine) }
		end
		add_entry(KEYS[5], both)
		add_entry(KEYS[5], in_fine)
		add_entry(KEYS[6], in_coarse)
	end

	local function announce()
		if feed.channel ~= '' then
			redis.call('PUBLISH', feed.channel, written[1][1])
		end
		if feed.most == '0' then
			return
		end
		local fine, coarse = written[1], written[2]
		if fine[3] or coarse and coarse[3] or #written < #KEYS - 4 then
			if not held[5] then
				fine, coarse = nil, fine
			end
			add_differing(fine, coarse)
		else
			local entry = fine[4]
			for i = 1, #fields do
				entry[2 * i] = counts[i]
			end
			add_entry(KEYS[5], entry)
		end
		redis.call('EXPIRE', feed.key, longest)
	end
	done, failure = pcall(announce)
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
return { 0, features_dropped, feature_dropped, instances_dropped, instance_dropped,
	variants_dropped, variant_dropped, late_dropped, first_name or 0 }
