import { randomToken } from "../model/ids.ts";
import type { AnyDatabase } from "../ports/database.ts";
import type { LogStore } from "../ports/log-store.ts";
import { askDatabase, askLog, askTransport } from "./ask.ts";
import type { Core } from "./core.ts";
import { withDatabase } from "./databases.ts";
import { recordFailure } from "./dead-letters.ts";
import { checkBackIntent } from "./check-back-intent.ts";
import { finishRows } from "./outbox.ts";
import type { Counted } from "./sweep.ts";

/** In how many sweeps of a process that has just begun one audits. */
const AUDIT_ONE_IN = 16;
/** How many pages of the transport's dead letters one audit reads. */
const MAX_AUDIT_PAGES = 10;
/** How many rows are claimed at once. */
const ROWS_AT_ONCE = 50;
/** How many rows are dropped at once, and how often at most in one audit. */
const DROPPED_AT_ONCE = 200;
const MAX_DROPS = 25;

/** Now and then: by this process's clock, and by chance for processes that live too short to have one. */
export function auditIsDue(core: Core): boolean {
  const elapsed = core.clock.now() - core.audit.lastAt;
  return elapsed < 0 || elapsed >= core.settings.auditEveryMillis || core.crypto.random(1)[0]! % AUDIT_ONE_IN === 0;
}

/**
 * Looks for what no hint and no record tells of: unsettled rows of this deployment in its databases, by the databases' own
 * clocks, and the transport's own dead letters. Drops what is past its retention. A part that fails keeps none of the
 * others from being done.
 */
export async function audit(core: Core, report: Counted, inTime: () => boolean): Promise<void> {
  core.audit.lastAt = core.clock.now();
  const parts = [
    ...[...core.databases.keys()].map((name) => () => auditDatabase(core, name, report, inTime)),
    ...(core.store === undefined ? [] : [() => auditLog(core, core.store!)]),
    () => auditTransport(core, report, inTime),
  ];
  for (const part of parts) {
    try {
      await part();
    } catch (error) {
      core.emit({ type: "recordFailed", error });
    }
  }
}

/** Finishes what is decided and unsettled, decides what has an intent and no request any more. */
async function auditDatabase(core: Core, name: string, report: Counted, inTime: () => boolean): Promise<void> {
  const { source, claimLeaseMillis, decisionRetentionMillis } = core.settings;
  await withDatabase(core, name, async (database) => {
    for (let more = true; more && inTime();) {
      const claimed = await askDatabase(core, "the database to lease what is unsettled", () =>
        database.barrier.claimUnsettled({
          source,
          limit: ROWS_AT_ONCE,
          leaseMillis: claimLeaseMillis,
          token: randomToken(core.crypto),
        }),
      );
      more = claimed.more;
      report.claimed += claimed.decided.length + claimed.intended.length;
      report.undecodable += claimed.undecodable.length;
      for (const record of claimed.undecodable) core.emit({ type: "undecodable", record });
      report.published += (await finishRows(core, database, claimed.decided)).published;
      report.published += await decideIntents(core, database, claimed.intended);
    }
    const cleaning = { source, retentionMillis: decisionRetentionMillis, limit: DROPPED_AT_ONCE };
    for (let drops = 0; drops < MAX_DROPS && inTime(); drops++) {
      const dropped = await askDatabase(core, "the database to clean up", () => database.barrier.cleanUp(cleaning));
      if (dropped < DROPPED_AT_ONCE) break;
    }
  });
}

async function decideIntents(core: Core, database: AnyDatabase, transactionIds: readonly string[]): Promise<number> {
  const rows = [];
  for (const id of transactionIds) {
    const row = await checkBackIntent(core, database, id);
    if (row !== undefined && !row.settled) rows.push(row);
  }
  return (await finishRows(core, database, rows)).published;
}

async function auditLog(core: Core, store: LogStore): Promise<void> {
  await tellOfLoss(core, store);
  await askLog(core, "the log to clean up", () =>
    store.cleanUp({ now: core.clock.now(), retentionMillis: core.settings.decisionRetentionMillis }),
  );
}

/** Records the transport's own dead letters that are not known here. One that cannot be recorded is found again next time. */
async function auditTransport(core: Core, report: Counted, inTime: () => boolean): Promise<void> {
  const reports = core.transport?.reports;
  let cursor: string | undefined;
  if (reports === undefined) return;
  for (let page = 0; page < MAX_AUDIT_PAGES; page++) {
    const found = await askTransport(core, "the transport to list its dead letters", () => reports.deadLetters(cursor));
    for (const letter of found.letters) {
      if (!inTime()) return;
      try {
        if ((await recordFailure(core, letter)) === "buried") report.buried++;
      } catch (error) {
        core.emit({ type: "recordFailed", error });
      }
    }
    cursor = found.cursor;
    if (cursor === undefined) break;
  }
}

/** A store that bears another mark than at the last audit was emptied in between: what was in it is gone. */
async function tellOfLoss(core: Core, store: LogStore): Promise<void> {
  const mark = await askLog(core, "the log to show its mark", () => store.mark(randomToken(core.crypto)));
  if (core.audit.mark !== undefined && core.audit.mark !== mark) core.emit({ type: "logLost" });
  core.audit.mark = mark;
}
