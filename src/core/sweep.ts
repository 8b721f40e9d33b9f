import { checkBack } from "./check-back.ts";
import { askLog } from "./ask.ts";
import { audit, auditIsDue } from "./audit.ts";
import { confirm } from "./confirm.ts";
import { carryOut } from "./dispatch.ts";
import type { Decided } from "./dispatch.ts";
import { logOf } from "./core.ts";
import type { Core } from "./core.ts";
import { followHints, isHint } from "./hint.ts";
import type { Decision } from "../model/states.ts";
import type { Claim } from "../ports/transaction-log.ts";

/** How a sweep is bounded, and what it looks at besides what is due. */
export interface SweepOptions {
  /** Ends after so long, between two batches. @default DEFAULT_SWEEP_MILLIS */
  readonly maxMillis?: number;
  /**
   * Also looks through the databases for what is not settled, whatever the log says of it, reads the transport's dead
   * letters, and drops what is past its retention. By default now and then, and whenever the log does not answer.
   */
  readonly audit?: boolean;
}

/** A report that is being made. */
export type Counted = { -readonly [Name in keyof SweepReport]: number };

/** How long a sweep goes on claiming. */
export const DEFAULT_SWEEP_MILLIS = 20_000;

/** What a sweep did. */
export interface SweepReport {
  /** Records of the log, and rows of databases, leased. */
  readonly claimed: number;
  /** Deliveries that the transport took. */
  readonly published: number;
  /** Deliveries whose arrival was confirmed. */
  readonly confirmed: number;
  /** Records set apart for a person. */
  readonly held: number;
  /** Records that this version cannot read. */
  readonly undecodable: number;
  /** Dead letters found at the transport that were not known. */
  readonly buried: number;
}

/**
 * Finishes what others left: publishes what is decided and unsent, finds out about what is undecided, confirms what was
 * sent. Any number of sweepers may run at once; each record is leased to one of them, and a record that cannot be
 * finished gets a later due time, so that it starves nothing.
 *
 * @throws {UnavailableError} where the log is out of reach at the very start, and there is no database to audit instead;
 *   later troubles only end the sweep early.
 */
export async function sweep(core: Core, options: SweepOptions = {}): Promise<SweepReport> {
  const startedAt = core.clock.now();
  const maxMillis = options.maxMillis ?? DEFAULT_SWEEP_MILLIS;
  const report = { claimed: 0, published: 0, confirmed: 0, held: 0, undecodable: 0, buried: 0 };
  const inTime = (): boolean => {
    const elapsed = core.clock.now() - startedAt;
    return elapsed >= 0 && elapsed <= maxMillis;
  };
  const logAnswered = await sweepLog(core, report, inTime);
  // Without the log nothing hints at what waits in the databases, so that they are looked through.
  const audited = options.audit ?? (!logAnswered || auditIsDue(core));
  if (audited) await audit(core, report, inTime);
  const { claimed, published, held } = report;
  core.emit({ type: "swept", claimed, published, held, millis: core.clock.now() - startedAt });
  return report;
}

/** Claims what is due in the log until nothing more is; whether there is a log that answers. */
async function sweepLog(core: Core, report: Counted, inTime: () => boolean): Promise<boolean> {
  const { store, settings } = core;
  if (store === undefined) return false;
  for (let first = true; ; first = false) {
    const batch = await askLog(core, "the log to lease what is due", () =>
      store.transactions.claimDue({
        limit: settings.claimLimit,
        leaseMillis: settings.claimLeaseMillis,
        now: core.clock.now(),
        expected: !first,
      }),
    ).catch((error: unknown) => {
      if (first && core.databases.size === 0) throw error;
      core.emit(first ? { type: "logUnavailable", error } : { type: "recordFailed", error });
    });
    if (batch === undefined) return !first;
    report.claimed += batch.claims.length;
    report.undecodable += batch.undecodable.length;
    for (const record of batch.undecodable) core.emit({ type: "undecodable", record });
    await settleBatch(core, batch.claims, report);
    if (!batch.more || !inTime()) return true;
  }
}

/** A part of a batch that fails is due again when its lease lapses; it does not keep the other parts from being done. */
async function settleBatch(core: Core, claims: readonly Claim[], report: Counted): Promise<void> {
  const apart = async (part: () => Promise<void>) => {
    try {
      await part();
    } catch (error) {
      core.emit({ type: "recordFailed", error });
    }
  };
  const hints = claims.filter((claim) => isHint(claim.record));
  const messages = claims.filter((claim) => !isHint(claim.record));
  const sent = messages.filter((claim) => claim.mark === "published");
  const unsent = messages.filter((claim) => claim.mark !== "published");
  if (hints.length > 0) {
    await apart(async () => {
      report.published += await followHints(core, hints);
    });
  }
  if (sent.length > 0) {
    await apart(async () => {
      report.confirmed += await confirm(core, sent);
    });
  }
  if (unsent.length === 0) return;
  await apart(async () => {
    const decisions = await decisionsOf(core, unsent);
    const decided: Decided[] = [];
    const doubtful: Claim[] = [];
    for (const claim of unsent) {
      const decision = decisions(claim);
      if (decision === undefined) doubtful.push(claim);
      else decided.push({ ...claim, decision });
    }
    report.published += await carryOut(core, decided);
    // Last, because a check may take its time.
    for (const [transactionId, group] of byTransaction(doubtful)) {
      await apart(async () => {
        const found = await checkBack(core, transactionId, group);
        report.published += found.published;
        report.held += found.held;
      });
    }
  });
}

/** The decision about each claim, where there is one: a redriven record brings its own, for the others the log is asked once. */
async function decisionsOf(core: Core, claims: readonly Claim[]): Promise<(claim: Claim) => Decision | undefined> {
  const asked = new Set(claims.flatMap(({ record }) => (record.decidedAt === undefined ? [record.transactionId] : [])));
  const found =
    asked.size === 0
      ? undefined
      : await askLog(core, "the log to tell decisions", () => logOf(core).transactions.decisions([...asked]));
  return ({ record }) =>
    record.decidedAt === undefined
      ? found?.get(record.transactionId)
      : { verdict: record.on === "commit" ? "committed" : "rolledBack", decidedAt: record.decidedAt };
}

function byTransaction(claims: readonly Claim[]): ReadonlyMap<string, readonly Claim[]> {
  const groups = new Map<string, Claim[]>();
  for (const claim of claims) {
    const group = groups.get(claim.record.transactionId);
    if (group === undefined) groups.set(claim.record.transactionId, [claim]);
    else group.push(claim);
  }
  return groups;
}
