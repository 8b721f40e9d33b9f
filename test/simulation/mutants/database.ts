import type { DecisionRow, NewDecision } from "aftercommit";
import type { Mutant } from "../mutants.ts";
import { withBarrier, withDatabases, withOutcomes, withUnits } from "./change.ts";

/** Wrong ways to let a database decide. */
export const DATABASE_MUTANTS: readonly Mutant[] = [
  {
    name: "no barrier row",
    apply: (ports) => {
      const units = withUnits(ports, () => ({ decide: async () => undefined }));
      return withDatabases(units, (database) => {
        const { batch } = database;
        return batch === undefined
          ? database
          : {
              ...database,
              batch: (statements, { consumed }) => batch(statements, consumed === undefined ? {} : { consumed }),
            };
      });
    },
  },
  {
    name: "the row after the commit",
    apply: (ports) =>
      withDatabases(ports, (database) => {
        const { run } = database;
        if (run === undefined) return database;
        return {
          ...database,
          async run(work, options) {
            let decision: NewDecision | undefined;
            const keep = async (given: NewDecision): Promise<void> => void (decision = given);
            const outcome = await run((unit) => work({ ...unit, decide: keep }), options);
            if (outcome.status === "committed" && decision !== undefined) await database.write({ decision });
            return outcome;
          },
        };
      }),
  },
  {
    name: "the row before the work's commit",
    apply: (ports) =>
      withUnits(ports, (_, database) => ({
        async decide(decision) {
          await database.write({ decision });
        },
      })),
  },
  {
    name: "a late commit is let through",
    apply: (ports) =>
      withUnits(ports, (unit, database) => ({
        async decide(decision) {
          const found = await database.barrier.find([decision.transactionId]);
          if (found.get(decision.transactionId)?.state !== "decided") await unit.decide(decision);
        },
      })),
  },
  {
    name: "an unknown outcome is a rollback to be tried again",
    apply: (ports) =>
      withOutcomes(ports, (outcome) =>
        outcome.status === "unknown" ? { status: "rolledBack", error: outcome.error, retryable: true } : outcome,
      ),
  },
  {
    name: "an unknown outcome is a commit",
    apply: (ports) =>
      withOutcomes(ports, (outcome) =>
        outcome.status === "unknown" ? { status: "committed", value: undefined as never } : outcome,
      ),
  },
  {
    name: "a rollback is told as a commit",
    apply: (ports) =>
      withOutcomes(ports, (outcome) =>
        outcome.status === "rolledBack" ? { status: "committed", value: undefined as never } : outcome,
      ),
  },
  {
    name: "no inbox row",
    apply: (ports) => withUnits(ports, () => ({ consume: async () => undefined, keepOutcome: async () => undefined })),
  },
  {
    name: "the inbox row after the commit",
    apply: (ports) =>
      withDatabases(ports, (database) => {
        const { run } = database;
        if (run === undefined) return database;
        return {
          ...database,
          async run(work, options) {
            let consumed: Parameters<Parameters<typeof work>[0]["consume"]>[0] | undefined;
            const keep = async (given: NonNullable<typeof consumed>): Promise<void> => void (consumed = given);
            const changed = { consume: keep, keepOutcome: async () => undefined };
            const outcome = await run((unit) => work({ ...unit, ...changed }), options);
            if (outcome.status === "committed" && consumed !== undefined) await database.write({ consumed });
            return outcome;
          },
        };
      }),
  },
  {
    name: "the inbox row is looked for, and not written",
    apply: (ports) =>
      withUnits(ports, (unit, database) => ({
        async consume(consumed) {
          const found = await database.inbox.look(consumed.claim);
          if (found.state === "done") await unit.consume(consumed);
        },
        keepOutcome: async () => undefined,
      })),
  },
  {
    name: "messages for a rollback are not kept",
    apply: (ports) => withBarrier(ports, () => ({ intend: async () => true })),
  },
  {
    name: "an intent is never decided",
    apply: (ports) => withBarrier(ports, () => ({ rollBack: async () => undefined })),
  },
  {
    name: "a check-back does not wait for the commit under way",
    apply: (ports) =>
      withBarrier(ports, (barrier) => ({
        async rollBack(transactionId, at, dueMillis) {
          const found = (await barrier.find([transactionId])).get(transactionId);
          if (found?.state !== "intended") return barrier.rollBack(transactionId, at, dueMillis);
          return madeUp(transactionId, at, found.records);
        },
      })),
  },
  {
    name: "nobody audits",
    apply: (ports) =>
      withBarrier(ports, () => ({
        claimUnsettled: async () => ({ decided: [], intended: [], undecodable: [], more: false }),
      })),
  },
  {
    name: "a change that met another one counts",
    apply: (ports) =>
      withBarrier(ports, (barrier) => ({
        settle: async (changes) => (await barrier.settle(changes)).map(() => true),
      })),
    equivalent:
      "What it takes for written is done again: the row is still unsettled and is claimed again, and a death stands among the transport's own dead letters until an audit has recorded it.",
  },
  {
    name: "what a request leaves is never due",
    apply: (ports) =>
      withUnits(ports, (unit) => ({
        decide: (decision) => unit.decide({ ...decision, dueMillis: 10_000_000_000 }),
      })),
  },
  {
    name: "the inbox forgets at once",
    apply: (ports) =>
      withUnits(ports, (unit) => ({ consume: (consumed) => unit.consume({ ...consumed, retentionMillis: 1 }) })),
  },
  {
    name: "claims of rows without a lease",
    apply: (ports) =>
      withBarrier(ports, (barrier) => ({
        claimUnsettled: (options) => barrier.claimUnsettled({ ...options, leaseMillis: 0 }),
      })),
    equivalent:
      "A lease on a row spares a second sweeper the same work. Both send under the same deduplication id, and the version lets one of them settle.",
  },
];

/** A row that nobody has written. */
function madeUp(transactionId: string, decidedAt: number, records: DecisionRow["records"]): DecisionRow {
  return {
    transactionId,
    verdict: "rolledBack",
    decidedAt,
    source: "",
    records,
    results: {},
    attempts: 0,
    version: 0,
    settled: false,
  };
}
