-- For wrk: posts the body in $BODY, paused $PAUSE milliseconds on average, with
-- $TOKEN if that is given.
local file = assert(io.open(os.getenv("BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
if (os.getenv("TOKEN") or "") ~= "" then
	wrk.headers["Authorization"] = os.getenv("TOKEN")
end
file:close()

local pause = tonumber(os.getenv("PAUSE") or 0)
if pause > 0 then
	-- Exponential, so that the connections do not march in step.
	function delay()
		return math.floor(-math.log(1 - math.random()) * pause + 0.5)
	end
end

function done(summary, latency, requests)
	local errors = summary.errors
	io.write(string.format(
		"RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
		errors.status, errors.connect + errors.read + errors.write + errors.timeout,
		latency:percentile(50), latency:percentile(99)))
	io.write(string.format("TAIL %d %d\n", latency:percentile(99.9), latency.max))
end
