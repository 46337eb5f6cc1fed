-- What wrk sends: a call, its body given behind "--". In the end: calls, seconds, refusals, and the
-- 50th and 99th percentile in microseconds, as one line of JSON.

function init(args)
	wrk.method = "POST"
	wrk.path = "/rpc/v1"
	wrk.headers["Content-Type"] = "application/json"
	wrk.body = args[1]
end

function done(summary, latency)
	local errors = summary.errors

	io.write(string.format('{"calls": %d, "seconds": %f, "failed": %d, "p50_us": %d, "p99_us": %d}\n',
		summary.requests, summary.duration / 1e6,
		errors.connect + errors.read + errors.write + errors.status + errors.timeout,
		latency:percentile(50), latency:percentile(99)))
end
