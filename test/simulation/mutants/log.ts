import type { Mutant } from "../mutants.ts";
import { withInboxes, withLog, withTransport } from "./change.ts";

/** Wrong ways to keep a log and an inbox. */
export const LOG_MUTANTS: readonly Mutant[] = [
  {
    name: "half messages are not waited for",
    apply: (ports) =>
      withLog(ports, ({ transactions }) => ({
        transactions: {
          ...transactions,
          async prepare(records) {
            void transactions.prepare(records).catch(() => undefined);
          },
        },
      })),
  },
  {
    name: "published before the decision",
    apply: (ports) =>
      withLog(ports, ({ transactions }) => ({
        transactions: {
          ...transactions,
          async prepare(records) {
            await transactions.prepare(records);
            const commits = records.filter(({ on, topic }) => on === "commit" && topic !== "");
            await ports.transport!.publish(commits.map((record) => ({ record, body: record.body })));
          },
        },
      })),
  },
  {
    name: "the last decision wins",
    apply: (ports) =>
      withLog(ports, ({ transactions }) => ({
        transactions: {
          ...transactions,
          async decide(transactionId, verdict, at) {
            await transactions.decide(transactionId, verdict, at);
            return { verdict, decidedAt: at };
          },
        },
      })),
  },
  {
    name: "what is doubtful is dropped",
    apply: (ports) =>
      withLog(ports, ({ transactions, deadLetters }) => ({
        deadLetters: {
          ...deadLetters,
          async hold(claims) {
            await transactions.record(claims.map(({ record, token }) => ({ record, token, settled: true })));
            return claims.length;
          },
        },
      })),
  },
  {
    name: "dead letters are not kept",
    apply: (ports) =>
      withLog(ports, ({ deadLetters }) => ({ deadLetters: { ...deadLetters, bury: async () => "buried" } })),
  },
  {
    name: "a check that does not know says no",
    apply: (ports) => {
      const order = ports.checks?.["order"];
      if (order === undefined) return ports;
      return {
        ...ports,
        checks: {
          async order(id) {
            const answer = await Promise.resolve(order(id)).catch(() => "unknown" as const);
            return answer === "unknown" ? "rolledBack" : answer;
          },
        },
      };
    },
  },
  {
    name: "done before the effect",
    apply: (ports) =>
      withInboxes(ports, (inbox) => ({
        async claim(claim, leaseMillis) {
          const found = await inbox.claim(claim, leaseMillis);
          if (found.state === "claimed")
            await inbox.complete(claim, { outcome: "null", retentionMillis: 3_000_000_000 });
          return found;
        },
      })),
  },
  {
    name: "no lease",
    apply: (ports) =>
      withInboxes(ports, (inbox) => ({
        async claim(claim, leaseMillis) {
          const found = await inbox.claim(claim, leaseMillis);
          return found.state === "busy" ? { state: "claimed" } : found;
        },
      })),
  },
  {
    name: "a lost lease completes",
    apply: (ports) =>
      withInboxes(ports, (inbox) => ({
        async complete(claim, completion) {
          const found = await inbox.complete(claim, completion);
          return found === "lost" ? "completed" : found;
        },
      })),
  },
  {
    name: "a renewal that is refused is taken for one that is not",
    apply: (ports) =>
      withInboxes(ports, (inbox) => ({
        async renew(claim, leaseMillis) {
          await inbox.renew(claim, leaseMillis);
          return true;
        },
      })),
    equivalent:
      "A renewal only tells a handler early that it has lost its lease. Completing is refused to it all the same, and its lease is no valid one any more.",
  },
  {
    name: "claims of records without a lease",
    apply: (ports) =>
      withLog(ports, ({ transactions }) => ({
        transactions: { ...transactions, claimDue: (options) => transactions.claimDue({ ...options, leaseMillis: 1 }) },
      })),
    equivalent:
      "Two sweepers then work on the same record: they send under one deduplication id, and the decision is one compare-and-set.",
  },
];

/** Wrong ways to believe a transport. */
export const TRANSPORT_MUTANTS: readonly Mutant[] = [
  {
    name: "what was not taken counts as taken",
    apply: (ports) =>
      withTransport(ports, (transport) => ({
        async publish(dispatches) {
          const results = await transport.publish(dispatches);
          return results.map((result) =>
            result.status === "retry" ? { status: "accepted", deduplicated: false } : result,
          );
        },
      })),
  },
  {
    name: "what is not known counts as delivered",
    apply: (ports) =>
      withTransport(ports, ({ reports }) =>
        reports === undefined
          ? {}
          : {
              reports: {
                ...reports,
                outcomes: async (ids) => new Map(ids.map((id) => [id, "delivered"])),
                deadLetters: async () => ({ letters: [] }),
              },
            },
      ),
  },
  {
    name: "every message is a new one",
    apply: (ports) =>
      withTransport(ports, (transport) => ({
        publish: (dispatches) =>
          transport.publish(
            dispatches.map((dispatch, i) => ({
              ...dispatch,
              body: dispatch.body.replace(/"id":"[^"]*"/, `"id":"${dispatch.record.key}-${i}-${unique()}"`),
            })),
          ),
      })),
  },
  {
    name: "the second of a batch is forgotten",
    apply: (ports) =>
      withTransport(ports, (transport) => ({
        async publish(dispatches) {
          const first = await transport.publish(dispatches.slice(0, 1));
          return dispatches.map((_, i) => first[i] ?? { status: "accepted", deduplicated: false });
        },
      })),
  },
  {
    name: "what cannot be taken now is refused for good",
    apply: (ports) =>
      withTransport(ports, (transport) => ({
        async publish(dispatches) {
          const results = await transport.publish(dispatches);
          return results.map((result) => (result.status === "retry" ? { status: "refused", reason: "later" } : result));
        },
      })),
    equivalent:
      "A delivery that could not be sent is dead then, and visible: the promise allows it, and a person redrives it. It is a nuisance and no loss.",
  },
];

let made = 0;

/** Never the same. */
function unique(): number {
  return ++made;
}
