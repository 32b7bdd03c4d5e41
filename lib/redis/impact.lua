-- Applies the impact metrics that a group holds for one {env}, once and whole.
--
-- KEYS  1 writer  2 names of metrics  3 their sizes  4... of each metric its
--       key; of a gauge also the key that holds when its values were reported,
--       of a histogram that of its series' bounds; and if the metric's name ends
--       in _count, _sum or _bucket, the key of the metric without that ending
-- ARGV  the call's number, seconds that the writer's key lives, cap of series, the longer
--       retention, and for each metric in KEYS: its name in the set, type, help,
--       number of series; for each series: labels, and
--         of a counter: value
--         of a gauge: value, milliseconds since it was reported
--         of a histogram: sum, count, number of bounds, and for each of these,
--           in ascending order: le, how many observations were no greater
-- Returns {1 or 2 as apply.lua; samples dropped for the type of their metric,
-- fields dropped beyond the cap, sums dropped because they are not finite: of
-- each how many, and which argument names the first one's metric}, or an error
-- as apply.lua does.

local writer, names, sizes = KEYS[1], KEYS[2], KEYS[3]
local number, lifetime = ARGV[1], ARGV[2]
local series_max, retention = tonumber(ARGV[3]), tonumber(ARGV[4])

local function wrong_type(key, expected)
	local actual = redis.call('TYPE', key).ok
	if actual ~= 'none' and actual ~= expected then
		return 'REFUSED ' .. key .. ' is a ' .. actual .. ', not a ' .. expected
	end
end

local at = 4
local function take()
	at = at + 1
	return ARGV[at]
end

-- A histogram's samples have these endings, so that no other metric may have a
-- name that is a histogram's with one of them.
local ENDINGS = { '_count', '_sum', '_bucket' }
local function has_ending(name)
	for _, ending in ipairs(ENDINGS) do
		if #name > #ending and string.sub(name, -#ending) == ending then
			return true
		end
	end
end

local take_series = {}
function take_series.counter()
	return { labels = take(), value = take() }
end
function take_series.gauge()
	return { labels = take(), value = take(), age = tonumber(take()) }
end
function take_series.histogram()
	local series = { labels = take(), sum = take(), count = take(), bounds = {} }
	for i = 1, tonumber(take()) do
		series.bounds[i] = { le = take(), count = take() }
	end
	return series
end

local key_at = 3
local function take_key()
	key_at = key_at + 1
	return KEYS[key_at]
end

local metrics = {}
while key_at < #KEYS do
	local metric = { key = take_key(), name = take(), argument = at, type = take(), help = take() }
	if metric.type ~= 'counter' then
		metric.more = take_key()
	end
	if has_ending(metric.name) then
		metric.base = take_key()
	end
	for i = 1, tonumber(take()) do
		metric[i] = take_series[metric.type]()
	end
	metrics[#metrics + 1] = metric
end

local refusal = wrong_type(writer, 'string')
if refusal then
	return redis.error_reply(refusal)
end
local before = redis.call('GET', writer)
if before and tonumber(string.match(before, '^%d+')) >= tonumber(string.match(number, '^%d+')) then
	-- See apply.lua.
	local reply = redis.pcall('EXPIRE', writer, lifetime)
	if type(reply) == 'table' and reply.err then
		return redis.error_reply(reply.err)
	end
	return { before == number and 1 or 2, 0, 0, 0, 0, 0, 0 }
end
refusal = wrong_type(names, 'set')
for i = 3, #KEYS do
	refusal = refusal or wrong_type(KEYS[i], 'hash')
end
if refusal then
	return redis.error_reply(refusal)
end

-- Redis's own clock, in milliseconds: that of a sender or of ours may be wrong.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Drops of each kind: the number, and the first argument.
local dropped = { type = { 0, 0 }, series = { 0, 0 }, sum = { 0, 0 } }
local function drop(kind, metric, count)
	kind[1] = kind[1] + count
	kind[2] = kind[2] > 0 and kind[2] or metric.argument
end

-- Of each metric how many numbers it has and on which day it was last written;
-- it expires a day after the retention.  Sum them up, and forget metrics that
-- have expired.  A day that is ahead is from before Redis's clock was set back.
local DAY = 86400
local today = math.floor(now / 1000 / DAY)
local series_count
local function count_series()
	series_count = 0
	local all = redis.call('HGETALL', sizes)
	for i = 1, #all, 2 do
		local size, day = string.match(all[i + 1], '^(%d+) (%d+)$')
		if tonumber(day or 0) > today then
			redis.call('HSET', sizes, all[i], string.format('%d %d', size, today))
		end
		if tonumber(day or 0) + math.ceil(retention / DAY) + 2 < today then
			redis.call('HDEL', sizes, all[i])
			redis.call('SREM', names, all[i])
		else
			series_count = series_count + size
		end
	end
end

-- Whether ${wanted} more fit; called for the first new one.
local function has_room(wanted)
	if series_max == 0 then
		return true
	end
	if not series_count then
		count_series()
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

-- Write.  The old value of each field is kept until the end, to be restored.
local undo_list = {}
local function write(key, field, old, value)
	undo_list[#undo_list + 1] = { key, field, old }
	redis.call('HSET', key, field, value)
end

local function add(metric, field, old, value)
	local sum = tonumber(old or 0)
	if not sum then
		error('REFUSED ' .. metric.key .. ' holds something that is no number')
	end
	sum = sum + tonumber(value)
	if sum ~= sum or sum == math.huge or sum == -math.huge then
		drop(dropped.sum, metric, 1)
	else
		write(metric.key, field, old, number_text(sum))
	end
end

local function count(metric, field, old, by)
	if by ~= '0' or not old then
		undo_list[#undo_list + 1] = { metric.key, field, old }
		redis.call('HINCRBY', metric.key, field, by)
	end
end

-- Whether a series that is ${size} fields if it is new may be written.
local function admit(metric, known, size)
	if known or has_room(size) then
		return true
	end
	drop(dropped.series, metric, size)
end

local function braced(labels)
	return labels == '' and '' or '{' .. labels .. '}'
end

local write_series = {}

function write_series.counter(metric, series)
	local field = braced(series.labels)
	local old = redis.call('HGET', metric.key, field)
	if not admit(metric, old, 1) then
		return false
	end
	add(metric, field, old, series.value)
	return true
end

-- A value that arrives late does not replace one that was reported later.  If
-- the one that is there is ahead of the clock, a clock was wrong, perhaps
-- Redis's before it was set back, and any value replaces it.
function write_series.gauge(metric, series)
	local field = braced(series.labels)
	local old = redis.call('HGET', metric.key, field)
	if not admit(metric, old, 1) then
		return false
	end
	local latest = redis.call('HGET', metric.more, field)
	local when = now - series.age
	local late = (tonumber(latest or 0) or 0) > when and tonumber(latest) <= now
	if not late then
		write(metric.more, field, latest, string.format('%.0f', when))
		write(metric.key, field, old, number_text(tonumber(series.value)))
	end
	return true
end

-- The bounds of a histogram's series are those with which it was first written.
-- The observations of a later sample with other bounds go under the smallest of
-- these that is no less than the bound under which they were reported, or else
-- under +Inf: so under each bound is what the sample has under its own largest
-- one that is no greater.  That keeps the buckets cumulative, and their count
-- is that of +Inf.
local function counts_under(known, bounds)
	local counts, reached = {}, 0
	for i, le in ipairs(known) do
		while bounds[reached + 1] and tonumber(bounds[reached + 1].le) <= tonumber(le) do
			reached = reached + 1
		end
		counts[i] = reached > 0 and bounds[reached].count or '0'
	end
	return counts
end

local function read_fields(key, fields)
	local old = {}
	for from = 1, #fields, 4000 do
		local to = math.min(from + 3999, #fields)
		for i, value in ipairs(redis.call('HMGET', key, unpack(fields, from, to))) do
			old[from + i - 1] = value
		end
	end
	return old
end

function write_series.histogram(metric, series)
	local known = redis.call('HGET', metric.more, series.labels)
	local bounds = {}
	for i, bound in ipairs(series.bounds) do
		bounds[i] = bound.le
	end
	if not admit(metric, known, #bounds + 3) then
		return false
	elseif not known then
		write(metric.more, series.labels, known, table.concat(bounds, ' '))
	else
		bounds = {}
		for le in string.gmatch(known, '%S+') do
			bounds[#bounds + 1] = le
		end
	end
	local counts = counts_under(bounds, series.bounds)
	local labels = series.labels == '' and '' or series.labels .. ','
	local fields = {}
	for i, le in ipairs(bounds) do
		fields[i] = '_bucket{' .. labels .. 'le="' .. le .. '"}'
	end
	fields[#fields + 1] = '_bucket{' .. labels .. 'le="+Inf"}'
	fields[#fields + 1] = '_count' .. braced(series.labels)
	fields[#fields + 1] = '_sum' .. braced(series.labels)
	local old = read_fields(metric.key, fields)
	for i = 1, #fields - 1 do
		count(metric, fields[i], old[i], counts[i] or series.count)
	end
	add(metric, fields[#fields], old[#fields], series.sum)
	return true
end

-- Whether a metric may have its name and type: one that is there has another
-- type, or a histogram's samples would be called as another metric is.
local added = {}
local function clashes(metric, known_type)
	if known_type then
		return known_type ~= metric.type
	elseif metric.base and redis.call('HGET', metric.base, '#type') == 'histogram' then
		return true
	elseif metric.type ~= 'histogram' then
		return false
	end
	local parts = {}
	for i, ending in ipairs(ENDINGS) do
		parts[i] = metric.name .. ending
		if added[parts[i]] then
			return true
		end
	end
	for _, found in ipairs(redis.call('SMISMEMBER', names, unpack(parts))) do
		if found == 1 then
			return true
		end
	end
end

-- A metric lives as long as it is reported.
local function keep(metric)
	local old = redis.call('HGET', sizes, metric.name)
	-- Two fields are no numbers.
	local size = string.format('%d %d', redis.call('HLEN', metric.key) - 2, today)
	if size ~= old then
		write(sizes, metric.name, old, size)
	end
	redis.call('EXPIRE', metric.key, retention + DAY)
	if metric.more then
		redis.call('EXPIRE', metric.more, retention + DAY)
	end
end

local function apply()
	local counting = {}
	redis.call('SET', writer, number, 'EX', lifetime)
	for _, metric in ipairs(metrics) do
		local known = redis.call('HMGET', metric.key, '#type', '#help')
		if clashes(metric, known[1]) then
			drop(dropped.type, metric, #metric)
		else
			local counted = false
			for _, series in ipairs(metric) do
				counted = write_series[metric.type](metric, series) or counted
			end
			if counted and (not known[1] or known[2] ~= metric.help) then
				write(metric.key, '#type', known[1], metric.type)
				write(metric.key, '#help', known[2], metric.help)
				counting[#counting + 1] = metric.name
				added[metric.name] = true
			end
			if counted then
				keep(metric)
			end
		end
	end
	if #counting > 0 then
		-- Last, as it is not undone.
		redis.call('SADD', names, unpack(counting))
	end
	redis.call('EXPIRE', names, retention + DAY)
	redis.call('EXPIRE', sizes, retention + DAY)
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
return { 0, dropped.type[1], dropped.type[2], dropped.series[1], dropped.series[2],
	dropped.sum[1], dropped.sum[2] }
