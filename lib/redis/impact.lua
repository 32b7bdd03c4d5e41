-- Applies the impact metrics that a group holds for one {env}, once and whole.
--
-- KEYS  1 writer  2 names of metrics  3... of each metric its key, and of a
--       gauge also the key that holds when its values were reported
-- ARGV  sequence, seconds that the writer's key lives, cap of series, and for
--       each metric in KEYS: its name in the set, type, help, number of series;
--         for each series: number of fields, and for each of them:
--           what to do (add, set or count), field, value, and to set: when
-- Returns {1 if done before, series dropped for the metric's type, fields
-- dropped beyond the cap, sums dropped because they are not finite}, or an
-- error as apply.lua does.

local writer, names = KEYS[1], KEYS[2]
local sequence, lifetime = string.match(ARGV[1], '^0*(%d+)$'), ARGV[2]
local series_max = tonumber(ARGV[3])

local function wrong_type(key, expected)
	local actual = redis.call('TYPE', key).ok
	if actual ~= 'none' and actual ~= expected then
		return 'REFUSED ' .. key .. ' is a ' .. actual .. ', not a ' .. expected
	end
end

local at = 3
local function take()
	at = at + 1
	return ARGV[at]
end

local metrics = {}
local key_at = 2
while key_at < #KEYS do
	key_at = key_at + 1
	local metric = { key = KEYS[key_at], name = take(), type = take(), help = take(), series = {} }
	if metric.type == 'gauge' then
		key_at = key_at + 1
		metric.times = KEYS[key_at]
	end
	for j = 1, tonumber(take()) do
		local series = {}
		for k = 1, tonumber(take()) do
			series[k] = { what = take(), name = take(), value = take() }
			series[k].when = series[k].what == 'set' and take()
		end
		metric.series[j] = series
	end
	metrics[#metrics + 1] = metric
end

local refusal = wrong_type(writer, 'string')
if refusal then
	return redis.error_reply(refusal)
end
local before = redis.call('GET', writer)
if before and tonumber(before) >= tonumber(sequence) then
	return { 1, 0, 0, 0 }
end
refusal = wrong_type(names, 'set')
for i = 3, #KEYS do
	refusal = refusal or wrong_type(KEYS[i], 'hash')
end
if refusal then
	return redis.error_reply(refusal)
end

-- How many series there are.  They are counted once in a while only, as that
-- takes a command for each metric, and in between their number is remembered.
local COUNT_LIFETIME = 60
local count_key = string.gsub(names, 'impact$', 'series')
local series_count
local function count_series()
	local remembered = redis.pcall('GET', count_key)
	series_count = type(remembered) == 'string' and tonumber(remembered)
	if series_count then
		return
	end
	series_count = 0
	for _, name in ipairs(redis.call('SMEMBERS', names)) do
		local fields = redis.pcall('HLEN', names .. ':' .. name)
		if type(fields) == 'number' then
			series_count = series_count + math.max(fields - 2, 0)
		end
	end
	redis.call('SET', count_key, series_count, 'EX', COUNT_LIFETIME)
end

-- Whether there may be so many more; asked when the first new one comes.
local series_before
local function has_room(wanted)
	if series_max == 0 then
		return true
	end
	if not series_count then
		count_series()
		series_before = series_count
	end
	if series_count + wanted > series_max then
		return false
	end
	series_count = series_count + wanted
	return true
end

-- The text of a number: digits for an integer that a double holds exactly,
-- else as few digits as read back as the same number.
local function number_text(number)
	if number == math.floor(number) and math.abs(number) < 9007199254740992 then
		return string.format('%.0f', number + 0)
	end
	for precision = 15, 17 do
		local text = string.format('%.' .. precision .. 'g', number)
		if tonumber(text) == number or precision == 17 then
			return text
		end
	end
end

-- Write.  What a field held before is kept until the end, to be put back.
local undo_list = {}
local function write(key, field, old, value)
	undo_list[#undo_list + 1] = { key, field, old }
	redis.call('HSET', key, field, value)
end

local not_finite = 0
local function write_field(metric, field, old)
	local key = metric.key
	if field.what == 'set' then
		-- What has come late does not replace what was reported later.
		local latest = redis.call('HGET', metric.times, field.name)
		if not latest or tonumber(latest) <= tonumber(field.when) then
			write(metric.times, field.name, latest, field.when)
			write(key, field.name, old, field.value)
		end
	elseif field.what == 'count' then
		undo_list[#undo_list + 1] = { key, field.name, old }
		redis.call('HINCRBY', key, field.name, field.value)
	else
		local sum = tonumber(old or 0)
		if not sum then
			error('REFUSED ' .. key .. ' holds something that is no number')
		end
		sum = sum + tonumber(field.value)
		if sum ~= sum or sum == math.huge or sum == -math.huge then
			not_finite = not_finite + 1
		else
			write(key, field.name, old, number_text(sum))
		end
	end
end

local beyond_cap = 0
local function write_series(metric, series)
	local key = metric.key
	local fields, new = {}, 0
	for i, field in ipairs(series) do
		fields[i] = field.name
	end
	local old = {}
	for from = 1, #fields, 4000 do
		local some = redis.call('HMGET', key, unpack(fields, from, math.min(from + 3999, #fields)))
		for i, value in ipairs(some) do
			old[from + i - 1] = value
			new = new + (value and 0 or 1)
		end
	end
	-- A series is new as a whole or grows; half of it would be of no use.
	local allowed = new == 0 or has_room(new)
	if not allowed then
		beyond_cap = beyond_cap + new
	end
	for i, field in ipairs(series) do
		if old[i] or allowed then
			write_field(metric, field, old[i])
		end
	end
	return allowed or new < #series
end

local wrong = 0
local function apply()
	local counting = {}
	redis.call('SET', writer, sequence, 'EX', lifetime)
	for _, metric in ipairs(metrics) do
		local known = redis.call('HMGET', metric.key, '#type', '#help')
		if known[1] and known[1] ~= metric.type then
			wrong = wrong + #metric.series
		else
			local counted = false
			for _, series in ipairs(metric.series) do
				counted = write_series(metric, series) or counted
			end
			if counted and (not known[1] or known[2] ~= metric.help) then
				write(metric.key, '#type', known[1], metric.type)
				write(metric.key, '#help', known[2], metric.help)
				counting[#counting + 1] = metric.name
			end
		end
	end
	if series_count ~= series_before then
		redis.call('SET', count_key, series_count, 'KEEPTTL')
	end
	if #counting > 0 then
		-- Last, as it is not undone.
		redis.call('SADD', names, unpack(counting))
	end
end

-- Nothing here may stop the rest; see apply.lua.
local function undo()
	for i = #undo_list, 1, -1 do
		local key, field, old = unpack(undo_list[i], 1, 3)
		if old then
			redis.pcall('HSET', key, field, old)
		elseif type(redis.pcall('HDEL', key, field)) == 'table' then
			redis.pcall('HSET', key, field, '0')
		end
	end
	if before or type(redis.pcall('DEL', writer)) == 'table' then
		redis.pcall('SET', writer, before or '0', 'EX', lifetime)
	end
end

local done, failure = pcall(apply)
if not done then
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
return { 0, wrong, beyond_cap, not_finite }
