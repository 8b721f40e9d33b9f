import type { Inbox, InboxChildren, InboxClaim, InboxReader } from "../../src/ports/inbox.ts";
import { evalCommand, isAbsent, optionalText } from "./executor.ts";
import type { RedisExecutor } from "./executor.ts";
import type { Keyspace } from "./keys.ts";
import { COMPLETE, COMPLETE_AND_COMMIT, RELEASE_LEASE, RENEW, ROLL_BACK_LAPSED } from "./scripts.ts";
import { decisionScore, readDecision } from "./transaction-log.ts";

/** For how long an entry is put back that a late command had touched: its own time to live is not known any more. */
const PUT_BACK_LEASE_MILLIS = "60000";
const PUT_BACK_OUTCOME_MILLIS = String(366 * 86_400_000);

/**
 * The inbox in Redis: one string per message and consumer, `L<token>` while it is leased and `D<token> <outcome>` once it
 * is done, each with its time to live.
 */
export function redisInbox(redis: RedisExecutor, keyspace: Keyspace): Inbox & InboxReader & InboxChildren {
  const keyOf = ({ consumer, messageId }: { consumer: string; messageId: string }) =>
    keyspace.of(messageId).inbox(consumer, messageId);
  const lease = (claim: InboxClaim) => `L${claim.token}`;

  return {
    async claim(claim, leaseMillis) {
      const command = ["SET", keyOf(claim), lease(claim), "NX", "GET", "PX", wholeMillis(leaseMillis)];
      const found = optionalText(await redis.execute(command));
      if (found === undefined || found === lease(claim)) return { state: "claimed" };
      return found.startsWith("D")
        ? { state: "done", outcome: found.slice(found.indexOf(" ") + 1) }
        : { state: "busy" };
    },

    async renew(claim, leaseMillis) {
      const args = [lease(claim), wholeMillis(leaseMillis)];
      return Number(await redis.execute(evalCommand(RENEW, [keyOf(claim)], args))) === 1;
    },

    async complete(claim, { outcome, retentionMillis, child }) {
      const done = `D${claim.token} ${outcome}`;
      const retention = wholeMillis(retentionMillis);
      if (child === undefined) {
        const args = [lease(claim), done, retention, PUT_BACK_LEASE_MILLIS];
        return Number(await redis.execute(evalCommand(COMPLETE, [keyOf(claim)], args))) === 1 ? "completed" : "lost";
      }
      const keys = [keyOf(claim), keyspace.of(child.transactionId).decisions];
      const commit = String(decisionScore("committed", child.at));
      const args = [lease(claim), done, retention, child.transactionId, commit];
      const reply = Number(await redis.execute(evalCommand(COMPLETE_AND_COMMIT, keys, args)));
      return reply === 1 ? "completed" : reply === 0 ? "lost" : "rolledBack";
    },

    async release(claim) {
      const args = [lease(claim), PUT_BACK_LEASE_MILLIS, PUT_BACK_OUTCOME_MILLIS];
      await redis.execute(evalCommand(RELEASE_LEASE, [keyOf(claim)], args));
    },

    async look(key) {
      const found = optionalText(await redis.execute(["GET", keyOf(key)]));
      if (found === undefined) return { state: "new" };
      return found.startsWith("D") ? { state: "done" } : { state: "leased", token: found.slice(1) };
    },

    async rollBackLapsed(claim, child) {
      const { decisions } = keyspace.of(child.transactionId);
      const shared = keyspace.shardOf(claim.messageId) === keyspace.shardOf(child.transactionId);
      // Only an inbox of this store draws its children's ids into its own shard: any other run's entry is not here at all.
      const entry = shared ? keyOf(claim) : `${decisions}:no-entry`;
      const args = [lease(claim), child.transactionId, String(decisionScore("rolledBack", child.at))];
      const score = await redis.execute(evalCommand(ROLL_BACK_LAPSED, [entry, decisions], args));
      return isAbsent(score) ? undefined : readDecision(Number(score)).verdict;
    },
  };
}

/** Redis takes whole milliseconds, at least one. */
function wholeMillis(millis: number): string {
  return String(Math.max(1, Math.round(millis)));
}
