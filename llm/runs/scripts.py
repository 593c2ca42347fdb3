"""What changes runs in Redis: scripts in its Lua, each of which happens as a whole or not at all."""

_NOW = """
local function now()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""

# Tells the processes that follow a run, and returns whether there is one; one that does not listen any more is
# forgotten. Of the end the others are told, too, that wait for nothing else.
_TELL = """
local function tell(run)
    local told = false
    for _, process in ipairs(redis.call('SMEMBERS', 'runs:followers:' .. run)) do
        if redis.call('PUBLISH', 'runs:told:' .. process, run .. ' +') == 0 then
            redis.call('SREM', 'runs:followers:' .. run, process)
        else
            told = true
        end
    end
    return told
end
local function tell_end(run, seq, content)
    for _, process in ipairs(redis.call('SMEMBERS', 'runs:awaited:' .. run)) do
        redis.call('PUBLISH', 'runs:told:' .. process, run .. ' = ' .. string.format('%.0f', seq) .. ' ' .. content)
    end
    redis.call('DEL', 'runs:awaited:' .. run)
end
"""

# Takes the batches as one JSON text: an argument for each of their parts costs several times as much.
APPEND = (
    _NOW
    + _TELL
    + """
local process, keep = ARGV[1], ARGV[2]
local function append(run, writer, owner, fresh, lease, entries)
    local stream, hash = 'runs:events:' .. run, 'runs:state:' .. run
    local state = redis.call('HMGET', hash, 'writer', 'ended', 'stop', 'seq')
    if state[2] then return 'ended' end
    if state[1] and state[1] ~= writer then return 'taken' end
    if not state[1] then
        if not fresh then return 'gone' end
        redis.call('HSET', hash, 'writer', writer, 'process', process, 'owner', owner)
    end
    -- An append whose answer was lost is made again.
    local seq, ends = tonumber(state[4] or 0), false
    for _, entry in ipairs(entries) do
        local kind, content = entry[2], entry[3]
        if entry[1] > seq then
            seq = entry[1]
            if type(content) == 'table' then content = cjson.encode(content) end
            redis.call('XADD', stream, string.format('%.0f-0', seq), kind, content)
            if kind == 'e' then
                ends = true
                redis.call('HSET', hash, 'ended', '1')
                tell_end(run, seq, content)
            end
        end
    end
    redis.call('HSET', hash, 'seq', string.format('%.0f', seq))
    -- In between the heartbeat does it.
    if ends or fresh then
        redis.call('EXPIRE', stream, keep)
        redis.call('EXPIRE', hash, keep)
        if ends then
            redis.call('ZREM', KEYS[1], run)
        elseif lease > 0 then
            redis.call('ZADD', KEYS[1], now() + lease, run)
        end
    end
    local told = tell(run)
    return state[3] or told and 'followed' or 'ok'
end
-- Of most there is nothing to say.
local others = {}
for i, batch in ipairs(cjson.decode(ARGV[3])) do
    local answer = append(unpack(batch))
    if answer ~= 'ok' then
        table.insert(others, i)
        table.insert(others, answer)
    end
end
return others
"""
)

# Begins another attempt; returns the number below its first, False where the run has ended.
TAKE_OVER = """
local state = redis.call('HMGET', KEYS[2], 'ended', 'seq', 'process')
if state[1] then return false end
if state[3] then redis.call('PUBLISH', 'runs:told:' .. state[3], ARGV[6] .. ' -') end
local base = 0
if state[2] then base = (math.floor(state[2] / ARGV[5]) + 1) * ARGV[5] end
redis.call('HSET', KEYS[2], 'writer', ARGV[1], 'process', ARGV[2], 'owner', ARGV[3], 'seq', string.format('%.0f', base))
redis.call('EXPIRE', KEYS[2], ARGV[4])
return string.format('%.0f', base)
"""

STOP = """
local state = redis.call('HMGET', KEYS[1], 'ended', 'process')
if state[1] or not state[2] then return 0 end
redis.call('HSETNX', KEYS[1], 'stop', ARGV[2])
redis.call('PUBLISH', 'runs:told:' .. state[2], ARGV[1] .. ' ' .. ARGV[2])
return 1
"""

# In a function, because both the end by somebody else and the reaper need it.
_FINISH = (
    _TELL
    + """
local function finish(stream, hash, run, outcome, data, keep)
    local state = redis.call('HMGET', hash, 'ended', 'seq', 'stop', 'process')
    if state[1] then return 0 end
    local seq = tonumber(state[2] or 0)
    -- An attempt that has written nothing yet made nothing void.
    local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
    local last = newest and tonumber(string.match(newest[1], '%d+')) or 0
    last = math.min(last, tonumber(state[3] or last))
    local content = '{"outcome":' .. cjson.encode(outcome) .. ',"last":' .. string.format('%.0f', last)
    content = content .. ',"data":' .. data .. '}'
    redis.call('XADD', stream, string.format('%.0f-0', seq + 1), 'e', content)
    redis.call('HSET', hash, 'ended', '1', 'seq', string.format('%.0f', seq + 1))
    redis.call('EXPIRE', stream, keep)
    redis.call('EXPIRE', hash, keep)
    redis.call('ZREM', 'runs:alive', run)
    tell(run)
    tell_end(run, seq + 1, content)
    if state[4] then redis.call('PUBLISH', 'runs:told:' .. state[4], run .. ' -') end
    return 1
end
"""
)

END = _FINISH + "return finish(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4])"

REAP = (
    _NOW
    + _FINISH
    + """
local lost = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now()), 'LIMIT', 0, ARGV[3])
local ended = {}
for _, run in ipairs(lost) do
    redis.call('ZREM', KEYS[1], run)
    local hash = 'runs:state:' .. run
    if redis.call('EXISTS', hash) == 1 and finish('runs:events:' .. run, hash, run, ARGV[1], '{}', ARGV[2]) == 1 then
        ended[#ended + 1] = run
    end
end
return ended
"""
)

# Returns the runs that have ended or have another writer.
BEAT = (
    _NOW
    + """
local lost, until_then = {}, now() + ARGV[1]
for i = 3, #ARGV, 2 do
    local run = ARGV[i]
    local state = redis.call('HMGET', 'runs:state:' .. run, 'writer', 'ended')
    if state[2] or (state[1] and state[1] ~= ARGV[i + 1]) then
        lost[#lost + 1] = run
    elseif state[1] then
        redis.call('ZADD', KEYS[1], 'XX', until_then, run)
        redis.call('EXPIRE', 'runs:events:' .. run, ARGV[2])
        redis.call('EXPIRE', 'runs:state:' .. run, ARGV[2])
    end
end
return lost
"""
)

ALL = (APPEND, TAKE_OVER, STOP, END, REAP, BEAT)
