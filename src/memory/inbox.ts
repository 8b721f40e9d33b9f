import { shardOf } from "../model/shard.ts";
import type { Clock } from "../ports/clock.ts";
import type { Inbox, InboxClaim, InboxChildren, InboxKey, InboxReader } from "../ports/inbox.ts";
import { inboxKey } from "./state.ts";
import type { InboxEntry, MemoryState } from "./state.ts";
import { decideOnce } from "./transaction-log.ts";

/** The inbox in memory: an entry counts until its lease or its retention is over. */
export function memoryInbox(state: MemoryState, clock: Clock, shards: number): Inbox & InboxReader & InboxChildren {
  const entryOf = (key: InboxKey): InboxEntry | undefined => {
    const entry = state.inbox.get(inboxKey(key));
    return entry === undefined || clock.now() > entry.until ? undefined : entry;
  };
  const keep = (key: InboxKey, entry: InboxEntry): void => {
    state.inbox.set(inboxKey(key), entry);
  };
  const holds = (claim: InboxClaim): boolean => {
    const entry = entryOf(claim);
    return entry?.state === "leased" && entry.token === claim.token;
  };

  return {
    async claim(claim, leaseMillis) {
      const entry = entryOf(claim);
      if (entry?.state === "done") return { state: "done", outcome: entry.outcome };
      if (entry !== undefined) return { state: entry.token === claim.token ? "claimed" : "busy" };
      keep(claim, { state: "leased", token: claim.token, until: clock.now() + Math.round(leaseMillis) });
      return { state: "claimed" };
    },

    async renew(claim, leaseMillis) {
      if (!holds(claim)) return false;
      keep(claim, { state: "leased", token: claim.token, until: clock.now() + Math.round(leaseMillis) });
      return true;
    },

    async complete(claim, { outcome, retentionMillis, child }) {
      const entry = entryOf(claim);
      if (entry?.state === "done" && entry.token === claim.token) {
        return entry.outcome === outcome ? "completed" : "lost";
      }
      if (!holds(claim)) return "lost";
      if (child !== undefined) {
        const { verdict } = decideOnce(state, child.transactionId, "committed", child.at);
        if (verdict === "rolledBack") return "rolledBack";
      }
      const until = clock.now() + Math.round(retentionMillis);
      keep(claim, { state: "done", token: claim.token, outcome, until });
      return "completed";
    },

    async release(claim) {
      if (holds(claim)) state.inbox.delete(inboxKey(claim));
    },

    async look(key) {
      const entry = entryOf(key);
      if (entry === undefined) return { state: "new" };
      return entry.state === "done" ? { state: "done" } : { state: "leased", token: entry.token };
    },

    async rollBackLapsed(claim, child) {
      // A run whose message lies in another part of the store than its child belongs to another inbox.
      const ours = shardOf(claim.messageId, shards) === shardOf(child.transactionId, shards);
      if (ours && holds(claim)) return undefined;
      return decideOnce(state, child.transactionId, "rolledBack", child.at).verdict;
    },
  };
}
