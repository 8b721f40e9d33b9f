/**
 * Every script: constant text, all keys in KEYS, all values in ARGV, one hash tag. Each says what it costs where commands
 * are billed: 1 for EVAL, and 1 for each command inside.
 */

/**
 * Leases what is due. 4 for a batch of any size, 3 where nothing is due.
 *
 * KEYS  1 due
 * ARGV  1 limit  2 lease in milliseconds
 * Returns how many were looked at, then for each lease: member, token, when it had become due.
 */
export const CLAIM_DUE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('ZRANGE', KEYS[1], '-inf', string.format('%.0f', now * 2048 + 2047), 'BYSCORE', 'LIMIT', 0, ARGV[1], 'WITHSCORES')
local reply = { #found / 2 }
if #found == 0 then return reply end
local moves = {}
for i = 1, #found, 2 do
  local score = tonumber(found[i + 1])
  local size = math.abs(score)
  local due = math.floor(size / 2048)
  local tag = size - due * 2048
  if score <= 0 then due = now + due end
  local at = due
  if due <= now then at = now + ARGV[2] end
  local moved = string.format('%.0f', at * 2048 + tag)
  moves[#moves + 1] = moved
  moves[#moves + 1] = found[i]
  if due <= now then
    reply[#reply + 1] = found[i]
    reply[#reply + 1] = moved
    reply[#reply + 1] = string.format('%.0f', due)
  end
end
redis.call('ZADD', KEYS[1], 'XX', unpack(moves))
return reply
`;

/**
 * Records changes of claimed records, each only while its token is still its score. At most 4 where no body lies apart.
 * The body of a settled record stays if a copy of the record is held: a prepare that came late had made two of one.
 *
 * KEYS  1 due  2 held  3… bodies
 * ARGV  for each change: member, token ('' for any), new score ('' to settle it), place of its body in KEYS or '0'
 */
export const RECORD = `
local members = {}
for i = 1, #ARGV, 4 do members[#members + 1] = ARGV[i] end
local scores = redis.call('ZMSCORE', KEYS[1], unpack(members))
local moves, gone = {}, {}
for i = 1, #members do
  local token, score, body = ARGV[i * 4 - 2], ARGV[i * 4 - 1], tonumber(ARGV[i * 4])
  if scores[i] and (token == '' or tonumber(scores[i]) == tonumber(token)) then
    if score ~= '' then
      moves[#moves + 1] = score
      moves[#moves + 1] = members[i]
    else
      gone[#gone + 1] = members[i]
      if body > 0 and not redis.call('ZSCORE', KEYS[2], members[i]) then redis.call('UNLINK', KEYS[body]) end
    end
  end
end
if #moves > 0 then redis.call('ZADD', KEYS[1], 'XX', unpack(moves)) end
if #gone > 0 then redis.call('ZREM', KEYS[1], unpack(gone)) end
return #moves / 2 + #gone
`;

/**
 * Keeps half messages some of whose bodies lie apart, all or none.
 *
 * KEYS  1 due  2… bodies
 * ARGV  1 how many bodies, then the bodies, then score and member of each record
 */
export const PREPARE_LARGE = `
local count = tonumber(ARGV[1])
for i = 1, count do redis.call('SET', KEYS[i + 1], ARGV[i + 1]) end
return redis.call('ZADD', KEYS[1], 'NX', unpack(ARGV, count + 2))
`;

/** Reads a score on the primary. KEYS 1 set  ARGV 1 member */
export const PRIMARY_SCORE = `return redis.call('ZSCORE', KEYS[1], ARGV[1])`;

/**
 * Buries a delivery, known to the log or not.
 *
 * KEYS  1 due  2 held  3 dead  4 left  5 body  6 body of the dead letter
 * ARGV  1 member  2 3 range of the key  4 deduplication id  5 dead letter  6 its body if that lies apart, or ''
 *       7 '1' where the letter has the transport's id: it takes the place of a failure that has none
 * Returns 1, or 0 where this epoch has left the dead letters already.
 */
export const BURY = `
if redis.call('ZSCORE', KEYS[4], ARGV[4]) then return 0 end
local found = redis.call('ZRANGE', KEYS[3], ARGV[2], ARGV[3], 'BYLEX', 'LIMIT', 0, 1)
local stands = #found > 0
if stands and ARGV[7] == '1' then
  local account = string.match(found[1], '^[^\\n]*\\n([^\\n]*)')
  stands = not string.find(account, '"reason":"failed"', 1, true) or string.find(account, '"transportId":', 1, true)
  if not stands then redis.call('ZREM', KEYS[3], found[1]) end
end
if not stands then
  if ARGV[6] ~= '' then redis.call('SET', KEYS[6], ARGV[6]) end
  redis.call('ZADD', KEYS[3], 0, ARGV[5])
end
local known = redis.call('ZREM', KEYS[1], ARGV[1]) + redis.call('ZREM', KEYS[2], ARGV[1])
if known > 0 and ARGV[6] ~= '' then redis.call('UNLINK', KEYS[5]) end
return 1
`;

/**
 * Takes a dead letter out; a redrive puts its successor among what is due, in the same act.
 *
 * KEYS  1 due  2 dead  3 left  4 body of the dead letter  5 body of the successor
 * ARGV  1 2 range of the key  3 deduplication id  4 successor or ''  5 its body if that lies apart, or ''
 * Returns 1, or 0 where it is not there. Sent again, 1 as long as the successor is unsettled.
 */
export const UNBURY = `
if redis.call('ZSCORE', KEYS[3], ARGV[3]) then
  if ARGV[4] ~= '' and redis.call('ZSCORE', KEYS[1], ARGV[4]) then return 1 end
  return 0
end
local found = redis.call('ZRANGE', KEYS[2], ARGV[1], ARGV[2], 'BYLEX', 'LIMIT', 0, 1)
if #found == 0 then return 0 end
redis.call('ZREM', KEYS[2], found[1])
redis.call('UNLINK', KEYS[4])
redis.call('ZADD', KEYS[3], redis.call('TIME')[1] * 1000, ARGV[3])
if ARGV[4] ~= '' then
  if ARGV[5] ~= '' then redis.call('SET', KEYS[5], ARGV[5]) end
  redis.call('ZADD', KEYS[1], 'NX', 0, ARGV[4])
end
return 1
`;

/**
 * Sets claimed records apart, but for those that another claimed or decided meanwhile.
 *
 * KEYS  1 due  2 decisions  3 held
 * ARGV  for each record: member, token, transaction id
 */
export const HOLD = `
local held = 0
for i = 1, #ARGV, 3 do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and tonumber(score) == tonumber(ARGV[i + 1]) and not redis.call('ZSCORE', KEYS[2], ARGV[i + 2]) then
    redis.call('ZREM', KEYS[1], ARGV[i])
    redis.call('ZADD', KEYS[3], 0, ARGV[i])
    held = held + 1
  end
end
return held
`;

/**
 * Puts held records back, due at once.
 *
 * KEYS  1 due  2 held
 * ARGV  1 2 range of the transaction
 */
export const RELEASE = `
local found = redis.call('ZRANGE', KEYS[2], ARGV[1], ARGV[2], 'BYLEX', 'LIMIT', 0, 1000)
for i = 1, #found do
  redis.call('ZADD', KEYS[1], 'NX', 0, found[i])
  redis.call('ZREM', KEYS[2], found[i])
end
return #found
`;

/**
 * Drops the members with scores in a range, at most 1000 at a time.
 *
 * KEYS  1 set
 * ARGV  1 2 range of scores
 */
export const TRIM = `
local found = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'BYSCORE', 'LIMIT', 0, 1000)
if #found > 0 then redis.call('ZREM', KEYS[1], unpack(found)) end
return #found
`;

/**
 * Drops the decisions with scores in a range, at most 1000 at a time, but for those of transactions that still have
 * records. 2 where there is nothing of that age.
 *
 * KEYS  1 decisions  2 due  3 held
 * ARGV  1 2 range of scores
 */
export const TRIM_DECISIONS = `
local found = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'BYSCORE', 'LIMIT', 0, 1000)
if #found == 0 then return 0 end
local needed = {}
for set = 2, 3 do
  for from = 0, redis.call('ZCARD', KEYS[set]) - 1, 500 do
    for _, member in ipairs(redis.call('ZRANGE', KEYS[set], from, from + 499)) do
      needed[string.match(member, '^[^_\\n]*')] = true
    end
  end
end
local gone = {}
for i = 1, #found do
  if not needed[found[i]] then gone[#gone + 1] = found[i] end
end
if #gone > 0 then redis.call('ZREM', KEYS[1], unpack(gone)) end
return #gone
`;

/**
 * Prolongs a lease.
 *
 * KEYS  1 entry
 * ARGV  1 lease  2 milliseconds
 */
export const RENEW = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`;

/**
 * Stores an outcome in place of the lease; undone where the entry was another's. 2.
 *
 * KEYS  1 entry
 * ARGV  1 lease  2 outcome  3 retention in milliseconds  4 lease in milliseconds
 * Returns 1, or 0 where the lease is no longer this run's. Sent again, 1.
 */
export const COMPLETE = `
local was = redis.call('SET', KEYS[1], ARGV[2], 'XX', 'GET', 'PX', ARGV[3])
if was == ARGV[1] or was == ARGV[2] then return 1 end
if was then
  local keep = ARGV[4]
  if string.sub(was, 1, 1) == 'D' then keep = ARGV[3] end
  redis.call('SET', KEYS[1], was, 'PX', keep)
end
return 0
`;

/**
 * Stores an outcome in place of the lease and commits what the run published, in one act. 4.
 *
 * KEYS  1 entry  2 decisions
 * ARGV  1 lease  2 outcome  3 retention in milliseconds  4 transaction id  5 time
 * Returns 1; 0 where the lease is no longer this run's; -1 where the transaction had been rolled back. Sent again, 1.
 */
export const COMPLETE_AND_COMMIT = `
local was = redis.call('GET', KEYS[1])
if was == ARGV[2] then return 1 end
if was ~= ARGV[1] then return 0 end
if redis.call('ZADD', KEYS[2], 'NX', ARGV[5], ARGV[4]) == 0 then
  if tonumber(redis.call('ZSCORE', KEYS[2], ARGV[4])) < 0 then return -1 end
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
`;

/**
 * Ends a lease without an outcome; undone where the entry was another's. 2.
 *
 * KEYS  1 entry
 * ARGV  1 lease  2 lease in milliseconds  3 retention in milliseconds
 */
export const RELEASE_LEASE = `
local was = redis.call('GETDEL', KEYS[1])
if was and was ~= ARGV[1] then
  local keep = ARGV[2]
  if string.sub(was, 1, 1) == 'D' then keep = ARGV[3] end
  redis.call('SET', KEYS[1], was, 'PX', keep)
end
return 1
`;

/**
 * Rolls back what a run published, unless that run still holds its lease.
 *
 * KEYS  1 entry  2 decisions
 * ARGV  1 lease  2 transaction id  3 time, negative
 * Returns the score of the decision in force, or false while the run holds.
 */
export const ROLL_BACK_LAPSED = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return false end
redis.call('ZADD', KEYS[2], 'NX', ARGV[3], ARGV[2])
return redis.call('ZSCORE', KEYS[2], ARGV[2])
`;
