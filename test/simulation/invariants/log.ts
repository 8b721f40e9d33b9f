import type { Decision, DeliveryRecord, InboxClaim, Verdict } from "aftercommit";
import type { Loss } from "../ports/redis-server.ts";
import type { World } from "../world.ts";
import { leaseWatch } from "./leases.ts";
import type { LeaseWatch } from "./leases.ts";
import type { Violate } from "./rows.ts";

/** What the log has decided, and what Redis has lost: of that the levels `marked` and `checked` promise nothing. */
export interface LogWatch {
  /** Every verdict that ever was in force, by transaction; a second one only where Redis has lost the first. */
  readonly verdicts: Map<string, Set<Verdict>>;
  /** The consumer's run that published a transaction, as consumer and message. */
  readonly parents: Map<string, string>;
  /** Transactions, and keys of inbox entries, of which Redis has lost something. */
  readonly lost: { readonly transactions: Set<string>; readonly inbox: Set<string> };
  readonly leases: LeaseWatch;
  acted(world: World, name: string, args: readonly unknown[], result: unknown): void;
  loses(loss: Loss): void;
}

/** Watches that decisions never change (3), and that a message has one valid lease (4), but for what Redis loses. */
export function logWatch(violate: Violate): LogWatch {
  const leases = leaseWatch(violate);
  const watch: LogWatch = {
    verdicts: new Map(),
    parents: new Map(),
    leases,
    lost: { transactions: new Set(), inbox: new Set() },

    acted({ scheduler, redis }, name, args, result) {
      const now = scheduler.now + redis.skewMillis;
      leases.passes(now);
      if (name === "transactions.prepare") {
        for (const { transactionId, parent } of args[0] as readonly DeliveryRecord[])
          if (parent !== undefined) watch.parents.set(transactionId, inboxKeyOf(parent));
        return;
      }
      if (name === "transactions.decide") decided(String(args[0]), (result as Decision).verdict);
      if (!name.startsWith("inbox.")) return;
      const [claim, second] = args as [InboxClaim, { readonly child?: { readonly transactionId: string } } & Child];
      leases.acted(name.slice(6), inboxKeyOf(claim), claim.token, now, args[1], result);
      if (name === "inbox.complete" && second.child !== undefined && result !== "lost")
        decided(second.child.transactionId, result === "completed" ? "committed" : "rolledBack");
      if (name === "inbox.rollBackLapsed" && result !== undefined) decided(second.transactionId, result as Verdict);
    },

    loses({ transactions, inbox }) {
      for (const id of transactions) watch.lost.transactions.add(id);
      for (const key of inbox) watch.lost.inbox.add(key);
      leases.forget(inbox);
    },
  };

  const decided = (id: string, verdict: Verdict): void => {
    const known = watch.verdicts.get(id);
    if (known === undefined) return void watch.verdicts.set(id, new Set([verdict]));
    if (!known.has(verdict) && !watch.lost.transactions.has(id))
      violate("a decision never changes", `${id} was ${[...known].join()}, and is ${verdict} in the log`);
    known.add(verdict);
  };
  return watch;
}

interface Child {
  readonly transactionId: string;
}

/** The key of an inbox entry, as the store has it. */
export function inboxKeyOf({ consumer, messageId }: { readonly consumer: string; readonly messageId: string }): string {
  return JSON.stringify([consumer, messageId]);
}
