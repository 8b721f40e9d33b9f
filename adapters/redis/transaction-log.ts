import { deduplicationId } from "../../src/model/delivery.ts";
import type { DeliveryRecord } from "../../src/model/delivery.ts";
import type { Decision, Verdict } from "../../src/model/states.ts";
import type {
  Claim,
  ClaimedBatch,
  ClaimOptions,
  DeliveryChange,
  TransactionLog,
} from "../../src/ports/transaction-log.ts";
import { evalCommand, isAbsent, texts } from "./executor.ts";
import type { RedisExecutor } from "./executor.ts";
import type { Keyspace, ShardKeys } from "./keys.ts";
import { bodyIdOf, decodeText, decodeMember, encodeBody, encodeMember, isLarge } from "./member.ts";
import { CLAIM_DUE, PREPARE_LARGE, PRIMARY_SCORE, RECORD } from "./scripts.ts";
import { dueScore, readScore, waitingScore } from "./score.ts";

/** How far a sweeper's clock may be behind Redis' before its sweeps come late: the first, cheap look allows so much. */
const CLOCK_MARGIN_MILLIS = 30_000;
/** When a record that cannot be read is looked at again, perhaps by a newer release. */
const UNDECODABLE_MILLIS = 3_600_000;

/** The transaction log in Redis: one sorted set of what is due, payloads and all, and one of decisions. */
export function redisTransactionLog(redis: RedisExecutor, keyspace: Keyspace): TransactionLog {
  const decide: TransactionLog["decide"] = async (transactionId, verdict, at) => {
    const { decisions } = keyspace.of(transactionId);
    const score = decisionScore(verdict, at);
    const added = await redis.execute(["ZADD", decisions, "NX", String(score), transactionId]);
    if (Number(added) === 1) return readDecision(score);
    const standing = await redis.execute(evalCommand(PRIMARY_SCORE, [decisions], [transactionId]));
    // Lost between the two commands (a flush, a failover, a clean-up): nothing stands, so decide anew.
    return isAbsent(standing) ? decide(transactionId, verdict, at) : readDecision(Number(standing));
  };

  return {
    decide,

    async prepare(records) {
      if (records.length === 0) return;
      await redis.execute(prepareCommand(keyspace.of(records[0]!.transactionId), records));
    },

    async decisions(transactionIds) {
      const found = new Map<string, Decision>();
      for (const [keys, ids] of byShard(keyspace, transactionIds, (id) => id)) {
        const scores = (await redis.execute(["ZMSCORE", keys.decisions, ...ids])) as readonly unknown[];
        for (const [i, id] of ids.entries()) {
          if (!isAbsent(scores[i])) found.set(id, readDecision(Number(scores[i])));
        }
      }
      return found;
    },

    async record(changes) {
      for (const [keys, group] of byShard(keyspace, changes, (change) => change.record.transactionId)) {
        const plain = group.filter((change) => change.token === undefined && !isLarge(change.record));
        const scripted = group.filter((change) => change.token !== undefined || isLarge(change.record));
        for (const command of plainChanges(keys, plain)) await redis.execute(command);
        for (let i = 0; i < scripted.length; i += MOST_CHANGES) {
          await redis.execute(scriptedChanges(keys, scripted.slice(i, i + MOST_CHANGES)));
        }
      }
    },

    async claimDue(options) {
      const { shards } = keyspace;
      const batches: ClaimedBatch[] = [];
      let left = options.limit;
      // Begins at another shard each time, so that a busy one does not keep the others from being swept.
      const first = Math.abs(Math.floor(options.now)) % shards.length;
      for (let i = 0; i < shards.length && left > 0; i++) {
        const batch = await claimShard(redis, shards[(first + i) % shards.length]!, { ...options, limit: left });
        left -= batch.claims.length + batch.undecodable.length;
        batches.push(batch);
      }
      return {
        claims: batches.flatMap((batch) => batch.claims),
        more: batches.length < shards.length || batches.some((batch) => batch.more),
        undecodable: batches.flatMap((batch) => batch.undecodable),
      };
    },
  };
}

/** How many changes go into one script: each takes 4 of the some 8,000 values that Lua can unpack. */
const MOST_CHANGES = 500;

function prepareCommand(keys: ShardKeys, records: readonly DeliveryRecord[]): readonly string[] {
  const members = records.flatMap((record) => [
    String(waitingScore("half", 0, record.deadlineMillis)),
    encodeMember(record),
  ]);
  const large = records.filter(isLarge);
  if (large.length === 0) return ["ZADD", keys.due, "NX", ...members];
  const bodyKeys = large.map((record) => keys.body(deduplicationId(record)));
  return evalCommand(
    PREPARE_LARGE,
    [keys.due, ...bodyKeys],
    [String(large.length), ...large.map(encodeBody), ...members],
  );
}

/** Changes of records that nobody has claimed: at most one command for those that stay and one for those that go. */
function plainChanges(keys: ShardKeys, changes: readonly DeliveryChange[]): readonly (readonly string[])[] {
  const moves = changes.flatMap((change) =>
    "settled" in change ? [] : [newScore(change), encodeMember(change.record)],
  );
  const gone = changes.flatMap((change) => ("settled" in change ? [encodeMember(change.record)] : []));
  const commands: (readonly string[])[] = [];
  if (moves.length > 0) commands.push(["ZADD", keys.due, "XX", ...moves]);
  if (gone.length > 0) commands.push(["ZREM", keys.due, ...gone]);
  return commands;
}

function scriptedChanges(keys: ShardKeys, changes: readonly DeliveryChange[]): readonly string[] {
  const touched = [keys.due, keys.held];
  const args = changes.flatMap((change) => {
    const apart = isLarge(change.record) ? touched.push(keys.body(deduplicationId(change.record))) : 0;
    return [
      encodeMember(change.record),
      change.token === undefined ? "" : String(change.token),
      newScore(change),
      String(apart),
    ];
  });
  return evalCommand(RECORD, touched, args);
}

function newScore(change: DeliveryChange): string {
  if ("settled" in change) return "";
  // At least 1 ms: a claim of the same millisecond and lease would have the token of the one before it.
  return String(waitingScore(change.mark, change.attempts, Math.max(1, change.afterMillis)));
}

/** One cheap look: whether a record is unstamped, or due soon by the caller's clock. */
async function mayBeDue(redis: RedisExecutor, keys: ShardKeys, now: number): Promise<boolean> {
  const until = String(dueScore(now + CLOCK_MARGIN_MILLIS));
  return texts(await redis.execute(["ZRANGE", keys.due, "-inf", until, "BYSCORE", "LIMIT", "0", "1"])).length > 0;
}

const NOTHING_DUE: ClaimedBatch = { claims: [], more: false, undecodable: [] };

async function claimShard(redis: RedisExecutor, keys: ShardKeys, options: ClaimOptions): Promise<ClaimedBatch> {
  if (options.expected !== true && !(await mayBeDue(redis, keys, options.now))) return NOTHING_DUE;
  const reply = texts(
    await redis.execute(
      evalCommand(CLAIM_DUE, [keys.due], [String(options.limit), String(Math.round(options.leaseMillis))]),
    ),
  );
  const [looked, ...leases] = reply;
  const leased: Leased[] = [];
  for (let i = 0; i < leases.length; i += 3) {
    leased.push({ member: leases[i]!, token: Number(leases[i + 1]), dueAt: Number(leases[i + 2]) });
  }
  const claims: Claim[] = [];
  const unreadable: Leased[] = [];
  const bodies = await largeBodies(redis, keys, leased);
  for (const lease of leased) {
    try {
      const { mark, attempts } = readScore(lease.token);
      claims.push({
        record: decodeMember(lease.member, bodies.get(lease.member)),
        token: lease.token,
        mark,
        attempts,
        dueAt: lease.dueAt,
      });
    } catch {
      unreadable.push(lease);
    }
  }
  if (unreadable.length > 0) await redis.execute(postpone(keys, unreadable));
  return {
    claims,
    more: Number(looked) >= options.limit,
    undecodable: unreadable.map((lease) => lease.member.slice(0, 128)),
  };
}

interface Leased {
  readonly member: string;
  readonly token: number;
  readonly dueAt: number;
}

/** The bodies that lie apart, by member, in one command; none where every body lies in its member. */
async function largeBodies(
  redis: RedisExecutor,
  keys: ShardKeys,
  leased: readonly Leased[],
): Promise<ReadonlyMap<string, string>> {
  const bodies = new Map<string, string>();
  const apart = leased.flatMap(({ member }) => {
    const bodyId = bodyIdOf(member);
    return bodyId === undefined ? [] : [{ member, key: keys.body(bodyId) }];
  });
  if (apart.length === 0) return bodies;
  const found = (await redis.execute(["MGET", ...apart.map(({ key }) => key)])) as readonly unknown[];
  for (const [i, { member }] of apart.entries()) {
    const body = decodeText(found[i]);
    if (body !== undefined) bodies.set(member, body);
  }
  return bodies;
}

/** Puts what cannot be read behind everything else, so that it is not claimed again and again. */
function postpone(keys: ShardKeys, leased: readonly Leased[]): readonly string[] {
  const args = leased.flatMap(({ member, token }) => {
    const { mark, attempts } = readScore(token);
    return [member, String(token), String(waitingScore(mark, attempts, UNDECODABLE_MILLIS)), "0"];
  });
  return evalCommand(RECORD, [keys.due, keys.held], args);
}

/** The score that stands for a decision: never 0, whatever the clock says. */
export function decisionScore(verdict: Verdict, at: number): number {
  const time = Math.max(1, Math.round(at));
  return verdict === "committed" ? time : -time;
}

/** The decision that a score stands for. */
export function readDecision(score: number): Decision {
  return { verdict: score > 0 ? "committed" : "rolledBack", decidedAt: Math.abs(score) };
}

/** Items by the shard that their ids lie in. */
export function byShard<T>(
  keyspace: Keyspace,
  items: readonly T[],
  idOf: (item: T) => string,
): ReadonlyMap<ShardKeys, readonly T[]> {
  const groups = new Map<ShardKeys, T[]>();
  for (const item of items) {
    const keys = keyspace.of(idOf(item));
    const group = groups.get(keys);
    if (group === undefined) groups.set(keys, [item]);
    else group.push(item);
  }
  return groups;
}
