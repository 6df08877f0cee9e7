-- wrk ... URL -- BODY_FILE [@BODY_FILE ...] [header=value ...]: posts the file, or all of them by turns, and reports one line of
-- JSON at the end.
local function content(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read("*a")
  file:close()
  return bytes
end

function init(args)
  wrk.method = "POST"
  wrk.body = content(args[1])
  local bodies = {wrk.body}
  for i = 2, #args do
    if args[i]:sub(1, 1) == "@" then
      bodies[#bodies + 1] = content(args[i]:sub(2))
    else
      local name, value = args[i]:match("^([^=]+)=(.*)$")
      wrk.headers[name] = value
    end
  end
  if #bodies > 1 then
    local requests, turn = {}, 0
    for i, body in ipairs(bodies) do
      requests[i] = wrk.format(nil, nil, nil, body)
    end
    request = function()
      turn = turn % #requests + 1
      return requests[turn]
    end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'bench-result {"duration_us":%d,"requests":%d,"status":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d,' ..
    '"p50_us":%d,"p90_us":%d,"p99_us":%d,"max_us":%d}\n',
    summary.duration, summary.requests, errors.status, errors.connect, errors.read, errors.write, errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
