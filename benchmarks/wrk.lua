-- One chat completion again and again; with a rate, so many per second over all connections.
-- wrk -s wrk.lua URL -- MODEL RATE KEY BYTES       (RATE 0: as fast as answers come)

local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } troupe_moment;
  int clock_gettime(int clock, troupe_moment *moment);
]]
local CLOCK_MONOTONIC = 1
local moment = ffi.new("troupe_moment")

local function now_ms()
  ffi.C.clock_gettime(CLOCK_MONOTONIC, moment)
  return tonumber(moment.seconds) * 1e3 + tonumber(moment.nanoseconds) / 1e6
end

local interval_ms, due_ms = 0, nil

function init(args)
  local model, rate, key, bytes = args[1], tonumber(args[2]), args[3], tonumber(args[4])
  local question = "What is 17 + 28? " .. string.rep("word ", math.floor(bytes / 5))
  wrk.method = "POST"
  wrk.headers["content-type"] = "application/json"
  wrk.headers["authorization"] = "Bearer " .. key
  wrk.body = string.format('{"model": "%s", "messages": [{"role": "user", "content": "%s"}]}', model, question)
  if rate > 0 then
    interval_ms = 1e3 / rate
  else
    delay = nil
  end
end

-- The schedule is kept, whenever answers come: what is late is sent at once, so that the rate holds.
function delay()
  local now = now_ms()
  due_ms = (due_ms or now) + interval_ms
  if due_ms < now - 1e3 then
    due_ms = now - 1e3 -- what was missed more than a second ago is not made up for
  end
  return math.max(0, math.floor(due_ms - now + 0.5))
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "p50_ms": %.4f, "p95_ms": %.4f, "p99_ms": %.4f, "max_ms": %.4f, '
      .. '"refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
