-- Notes that members of a list were seen now.  Can be repeated.
--
-- KEYS  1 the list, a sorted set
-- ARGV  the members
-- Returns how many are new to the list.

local now = redis.call('TIME')[1]
local scored = {}
for i, member in ipairs(ARGV) do
	scored[2 * i - 1], scored[2 * i] = now, member
end
return redis.call('ZADD', KEYS[1], unpack(scored))
