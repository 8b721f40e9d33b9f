import { setTimeout as sleep } from "node:timers/promises";
import type { Database, LogStore } from "aftercommit";
import type { Pool } from "pg";
import type { Page, PageOptions } from "../../src/ports/log-reader.ts";
import { SOURCE } from "./bank.ts";
import { countEffects } from "./books.ts";

/** Where the bank leaves what it has not done. */
export interface Leftovers {
  readonly pool: Pool;
  readonly rows: Database<never, never>["reader"];
  readonly records: LogStore["reader"];
  /** Resolves when no message is on its way. */
  idle(): Promise<void>;
}

/** What is left for a person, by transaction. */
export interface Waiting {
  /** Those without an outcome. */
  readonly doubtful: ReadonlySet<string>;
  /** Those, and those with a message that was given up. */
  readonly all: ReadonlySet<string>;
  /** How many messages were given up. */
  readonly dead: number;
}

const POLL_MILLIS = 250;
/** How long there may be something left to do without any effect of it. */
const STANDSTILL_MILLIS = 120_000;
/** How long nothing changes before it is believed to be settled. */
const QUIET_MILLIS = 3_000;
const PAGE_SIZE = 200;

/** Waits until nothing is left to do, or nothing comes of what is; whether nothing is. */
export async function settle({ pool, rows, records, idle }: Leftovers): Promise<boolean> {
  const look = async () => {
    const [left, effects] = [
      (await rows.counts(SOURCE)).unsettled + (await records.counts()).unsettled,
      await countEffects(pool),
    ];
    return { left, effects };
  };
  let quietSince = Date.now();
  let movedAt = quietSince;
  for (let effects = -1; Date.now() - movedAt < STANDSTILL_MILLIS; await sleep(POLL_MILLIS)) {
    const found = await look().catch(() => undefined);
    // PostgreSQL is still recovering from its last kill.
    if (found === undefined) continue;
    const isIdle = await Promise.race([idle().then(() => true), sleep(POLL_MILLIS).then(() => false)]);
    if (found.effects !== effects) movedAt = Date.now();
    if (found.left > 0 || !isIdle || found.effects !== effects) quietSince = Date.now();
    effects = found.effects;
    if (Date.now() - quietSince >= QUIET_MILLIS) return true;
  }
  return false;
}

/** Reads what is left for a person. */
export async function readWaiting({ rows, records }: Leftovers): Promise<Waiting> {
  const doubtful = new Set<string>();
  for (const { transactionId, found } of await readAll((page) => rows.listUnsettled(SOURCE, page)))
    if (found.state === "intended") doubtful.add(transactionId);
  for (const { transactionId } of await readAll((page) => records.listHeld(page))) doubtful.add(transactionId);
  const all = new Set(doubtful);
  for (const { transactionId } of await readAll((page) => rows.listDead(SOURCE, page))) all.add(transactionId);
  for (const { record } of await readAll((page) => records.listDead(page))) all.add(record.transactionId);
  const dead = (await rows.counts(SOURCE)).dead + (await records.counts()).dead;
  return { doubtful, all, dead };
}

async function readAll<T>(list: (page: PageOptions) => Promise<Page<T>>): Promise<readonly T[]> {
  const items: T[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await list({ limit: PAGE_SIZE, ...(cursor === undefined ? {} : { cursor }) });
    items.push(...page.items);
    cursor = page.cursor;
    if (cursor === undefined) return items;
  }
}
