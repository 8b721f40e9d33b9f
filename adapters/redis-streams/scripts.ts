/**
 * Every script: constant text, all keys in KEYS, all values in ARGV, one hash tag. A place is the id of an entry of the
 * stream, or `@`, the attempts made so far, a line break and the text, for what waits for its time.
 *
 * KEYS of each  1 stream  2 places  3 later
 */

/**
 * Takes deliveries over; what is outstanding already is recognised, if it is really where its place says. 3, and 1 for each
 * delivery (1 more for all that are to wait), where they are billed singly.
 *
 * ARGV  for each: deduplication id, how long it waits in milliseconds or '0', text
 * Returns for each 1 where it was outstanding already, else 0.
 */
export const PUBLISH = `
local ids = {}
for i = 1, #ARGV, 3 do ids[#ids + 1] = ARGV[i] end
local places = redis.call('HMGET', KEYS[2], unpack(ids))
local now
local written, reply = {}, {}
for i = 1, #ids do
  local wait, text, place = tonumber(ARGV[i * 3 - 1]), ARGV[i * 3], places[i]
  local there = false
  if place and string.sub(place, 1, 1) == '@' then
    there = redis.call('ZSCORE', KEYS[3], ids[i])
  elseif place then
    there = #redis.call('XRANGE', KEYS[1], place, place) > 0
  end
  if there then
    reply[i] = 1
  else
    reply[i] = 0
    if wait == 0 then
      place = redis.call('XADD', KEYS[1], '*', 'd', ids[i], 'n', '0', 'm', text)
    else
      if not now then
        local time = redis.call('TIME')
        now = time[1] * 1000 + math.floor(time[2] / 1000)
      end
      redis.call('ZADD', KEYS[3], string.format('%.0f', now + wait), ids[i])
      place = '@0\\n' .. text
    end
    written[#written + 1] = ids[i]
    written[#written + 1] = place
  end
end
if #written > 0 then redis.call('HSET', KEYS[2], unpack(written)) end
return reply
`;

/**
 * Moves what has waited for its time into the stream. 5 and 1 for each where something is due, 3 where nothing is.
 *
 * ARGV  1 at most so many
 * Returns the milliseconds until more is due, -1 where nothing is left.
 */
export const PROMOTE = `
local limit = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('ZRANGE', KEYS[3], 0, limit, 'WITHSCORES')
local due, left = {}, -1
for i = 1, #found, 2 do
  local wait = tonumber(found[i + 1]) - now
  if wait > 0 or #due == limit then
    left = math.max(0, wait)
    break
  end
  due[#due + 1] = found[i]
end
if #due == 0 then return left end
local places = redis.call('HMGET', KEYS[2], unpack(due))
local written = {}
for i = 1, #due do
  local place = places[i]
  if place and string.sub(place, 1, 1) == '@' then
    local stop = string.find(place, '\\n', 1, true)
    local used, text = string.sub(place, 2, stop - 1), string.sub(place, stop + 1)
    written[#written + 1] = due[i]
    written[#written + 1] = redis.call('XADD', KEYS[1], '*', 'd', due[i], 'n', used, 'm', text)
  end
end
redis.call('ZREM', KEYS[3], unpack(due))
if #written > 0 then redis.call('HSET', KEYS[2], unpack(written)) end
return left
`;

/**
 * Puts a delivery back that a worker has in its hands, unless another has it by now. A copy too many is dropped: one that
 * lies elsewhere, too. 7 where it may be handled at once, 8 where it is to wait.
 *
 * ARGV  1 group  2 worker  3 id of the entry  4 deduplication id  5 attempts made so far  6 wait in milliseconds  7 text
 * Returns 1, or 0 where nothing was put back.
 */
export const PUT_BACK = `
local held = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)
if not held.err and held[1] and held[1][2] ~= ARGV[2] then return 0 end
local place = redis.call('HGET', KEYS[2], ARGV[4])
local other = false
if place and string.sub(place, 1, 1) == '@' then
  other = redis.call('ZSCORE', KEYS[3], ARGV[4])
elseif place and place ~= ARGV[3] then
  other = #redis.call('XRANGE', KEYS[1], place, place) > 0
end
local wait = tonumber(ARGV[6])
if other then
  place = nil
elseif wait == 0 then
  place = redis.call('XADD', KEYS[1], '*', 'd', ARGV[4], 'n', ARGV[5], 'm', ARGV[7])
else
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZADD', KEYS[3], string.format('%.0f', now + wait), ARGV[4])
  place = '@' .. ARGV[5] .. '\\n' .. ARGV[7]
end
if place then redis.call('HSET', KEYS[2], ARGV[4], place) end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
redis.call('XDEL', KEYS[1], ARGV[3])
return place and 1 or 0
`;

/**
 * Takes entries out for good, whoever holds them. 4 for any number.
 *
 * ARGV  1 group  2 how many  then their ids, then their deduplication ids
 */
export const FINISH = `
local count = tonumber(ARGV[2])
redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 3, 2 + count))
if #ARGV > 2 + count then redis.call('HDEL', KEYS[2], unpack(ARGV, 3 + count)) end
return redis.call('XDEL', KEYS[1], unpack(ARGV, 3, 2 + count))
`;

/**
 * Begins the visibility time of a worker's entries anew, without counting a delivery. 3 for any number.
 *
 * ARGV  1 group  2 worker  then ids, in their order
 * Returns those that are still this worker's.
 */
export const EXTEND = `
local held = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[#ARGV], 1000, ARGV[2])
if held.err then return {} end
local own = {}
for i = 1, #held do own[held[i][1]] = true end
local kept = {}
for i = 3, #ARGV do
  if own[ARGV[i]] then kept[#kept + 1] = ARGV[i] end
end
if #kept == 0 then return kept end
kept[#kept + 1] = 'JUSTID'
return redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(kept))
`;

/**
 * Makes the group, if need be from the first entry on, and drops workers that hold nothing and have not been seen for long.
 * 3, and 1 for each of these.
 *
 * ARGV  1 group  2 how long in milliseconds
 */
export const OPEN = `
redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
local gone = 0
for _, fields in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local worker = {}
  for i = 1, #fields, 2 do worker[fields[i]] = fields[i + 1] end
  if worker.pending == 0 and worker.idle > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], worker.name)
    gone = gone + 1
  end
end
return gone
`;

/**
 * Drops a worker that holds nothing. At most 3.
 *
 * ARGV  1 group  2 worker
 */
export const LEAVE = `
local held = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if held.err or #held > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
`;

/**
 * How much there is. 4.
 *
 * ARGV  1 group
 * Returns the entries of the stream, those in workers' hands, and what waits for its time.
 */
export const COUNT = `
local held = redis.pcall('XPENDING', KEYS[1], ARGV[1])
return { redis.call('XLEN', KEYS[1]), held.err and 0 or held[1], redis.call('ZCARD', KEYS[3]) }
`;
