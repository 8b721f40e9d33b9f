import { checkBack } from "./check-back.ts";
import { askLog, askTransport } from "./ask.ts";
import { confirm } from "./confirm.ts";
import { recordFailure } from "./dead-letters.ts";
import { carryOut } from "./dispatch.ts";
import type { Decided } from "./dispatch.ts";
import type { Core } from "./core.ts";
import type { Decision } from "../model/states.ts";
import { randomToken } from "../model/ids.ts";
import type { LogStore } from "../ports/log-store.ts";
import type { Claim } from "../ports/transaction-log.ts";

/** How a sweep is bounded, and what it looks at besides what is due. */
export interface SweepOptions {
  /** Ends after so long, between two batches. @default DEFAULT_SWEEP_MILLIS */
  readonly maxMillis?: number;
  /** Also reads the transport's dead letters, and drops what is past its retention. By default now and then. */
  readonly audit?: boolean;
}

/** How long a sweep goes on claiming. */
export const DEFAULT_SWEEP_MILLIS = 20_000;

/** What a sweep did. */
export interface SweepReport {
  /** Records leased. */
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

/** In how many sweeps of a process that has just begun one audits. */
const AUDIT_ONE_IN = 16;

/**
 * Finishes what others left: publishes what is decided and unsent, finds out about what is undecided, confirms what was
 * sent. Any number of sweepers may run at once; each record is leased to one of them, and a record that cannot be
 * finished gets a later due time, so that it starves nothing.
 *
 * @throws {UnavailableError} where the log is out of reach at the very start; later troubles only end the sweep early.
 */
export async function sweep(core: Core, options: SweepOptions = {}): Promise<SweepReport> {
  const startedAt = core.clock.now();
  const report = { claimed: 0, published: 0, confirmed: 0, held: 0, undecodable: 0, buried: 0 };
  const { settings } = core;
  for (let first = true; ; first = false) {
    const batch = await askLog(core, "the log to lease what is due", () =>
      core.store!.transactions.claimDue({
        limit: settings.claimLimit,
        leaseMillis: settings.claimLeaseMillis,
        now: core.clock.now(),
        expected: !first,
      }),
    ).catch((error: unknown) => {
      if (first) throw error;
      core.emit({ type: "recordFailed", error });
    });
    if (batch === undefined) break;
    report.claimed += batch.claims.length;
    report.undecodable += batch.undecodable.length;
    for (const record of batch.undecodable) core.emit({ type: "undecodable", record });
    await settleBatch(core, batch.claims, report);
    const elapsed = core.clock.now() - startedAt;
    if (!batch.more || elapsed < 0 || elapsed > (options.maxMillis ?? DEFAULT_SWEEP_MILLIS)) break;
  }
  if (options.audit ?? auditIsDue(core)) report.buried = await audit(core);
  const { claimed, published, held } = report;
  core.emit({ type: "swept", claimed, published, held, millis: core.clock.now() - startedAt });
  return report;
}

/** A part of a batch that fails is due again when its lease lapses; it does not keep the other parts from being done. */
async function settleBatch(
  core: Core,
  claims: readonly Claim[],
  report: { published: number; confirmed: number; held: number },
): Promise<void> {
  const apart = async (part: () => Promise<void>) => {
    try {
      await part();
    } catch (error) {
      core.emit({ type: "recordFailed", error });
    }
  };
  const sent = claims.filter((claim) => claim.mark === "published");
  const unsent = claims.filter((claim) => claim.mark !== "published");
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
      : await askLog(core, "the log to tell decisions", () => core.store!.transactions.decisions([...asked]));
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

/** Now and then: by this process's clock, and by chance for processes that live too short to have one. */
function auditIsDue(core: Core): boolean {
  const elapsed = core.clock.now() - core.audit.lastAt;
  return elapsed < 0 || elapsed >= core.settings.auditEveryMillis || core.crypto.random(1)[0]! % AUDIT_ONE_IN === 0;
}

/** Records the transport's own dead letters that the log does not know, and drops what is past its retention. */
async function audit(core: Core): Promise<number> {
  core.audit.lastAt = core.clock.now();
  let buried = 0;
  try {
    const store = core.store!;
    await tellOfLoss(core, store);
    await askLog(core, "the log to clean up", () =>
      store.cleanUp({ now: core.clock.now(), retentionMillis: core.settings.decisionRetentionMillis }),
    );
    const reports = core.transport?.reports;
    let cursor: string | undefined;
    if (reports === undefined) return 0;
    for (let page = 0; page < MAX_AUDIT_PAGES; page++) {
      const found = await askTransport(core, "the transport to list its dead letters", () =>
        reports.deadLetters(cursor),
      );
      for (const letter of found.letters) if ((await recordFailure(core, letter)) === "buried") buried++;
      cursor = found.cursor;
      if (cursor === undefined) break;
    }
  } catch (error) {
    core.emit({ type: "recordFailed", error });
  }
  return buried;
}

/** A store that bears another mark than at the last audit was emptied in between: what was in it is gone. */
async function tellOfLoss(core: Core, store: LogStore): Promise<void> {
  const mark = await askLog(core, "the log to show its mark", () => store.mark(randomToken(core.crypto)));
  if (core.audit.mark !== undefined && core.audit.mark !== mark) core.emit({ type: "logLost" });
  core.audit.mark = mark;
}

/** How many pages of the transport's dead letters one audit reads. */
const MAX_AUDIT_PAGES = 10;
