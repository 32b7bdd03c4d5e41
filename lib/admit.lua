-- Admits applications to the list of all, up to the cap.
--
-- KEYS  1 apps
-- ARGV  now, applications seen before this may make room, cap, applications
-- Returns for each application 1 if it is on the list, or 0.  Can be repeated.

local apps, now, prune_before, apps_max = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local count = redis.call('ZCARD', apps)
local pruned = false
local admitted = {}

for i = 4, #ARGV do
	if redis.call('ZSCORE', apps, ARGV[i]) then
		admitted[i - 3] = 1
	else
		if count >= apps_max and not pruned then
			count = count - redis.call('ZREMRANGEBYSCORE', apps, '-inf', '(' .. prune_before)
			pruned = true
		end
		if count < apps_max then
			redis.call('ZADD', apps, now, ARGV[i])
			count = count + 1
			admitted[i - 3] = 1
		else
			admitted[i - 3] = 0
		end
	end
end
return admitted
