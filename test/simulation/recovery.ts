import type { DatabaseSnapshot } from "aftercommit/memory";
import type { World } from "./world.ts";
import { person } from "./person.ts";
import { SOURCE } from "./topics.ts";

/** Within so much virtual time all must be settled once nothing goes wrong any more. */
const BOUND_MILLIS = 6 * 86_400_000;
/** The least and the longest wait between two rounds. */
const [SOON, LATE] = [1_000, 21_600_000];
/** So long after the trouble whatever had been begun has ended, and a person begins to look after what waits. */
const PERSON_AFTER = 600_000;

/** Ends all faults, and lets a fresh sweeper and a person finish; `done` when nothing is left to do. */
export function recover(world: World, done: () => void): void {
  const { scheduler, faults, redis, main, books, oracle } = world;
  faults.end();
  for (const server of [redis, main, books]) Object.assign(server, { down: false, skewMillis: 0 });
  redis.full = false;
  world.deployedKeys = world.qstash.keys;
  for (const { env } of world.slots) {
    env.process.skewMillis = 0;
    env.process.pausedUntil = 0;
    // A deployment: two rotations later nobody knew the keys any more.
    if (world.qstash.rotations > 1) world.kill(env.process);
  }
  const endsAt = scheduler.now;
  const env = world.startApart();
  const operator = world.slots[0]!.service.ac.operator(env);

  const round = async (): Promise<void> => {
    const elapsed = scheduler.now - endsAt;
    // From then on it audits when it finds it due, as any sweeper does.
    await (elapsed === 0 ? operator.sweep({ audit: true }) : operator.sweep());
    if (elapsed > PERSON_AFTER && (await waitsForPerson(world))) await person(world, operator);
    const left = await whatIsLeft(world);
    if (left === "" && elapsed > PERSON_AFTER) return done();
    if (elapsed > BOUND_MILLIS) return oracle.violate("everything settles", `after ${elapsed} ms: ${left}`);
    scheduler.after(waitFor(world, elapsed), "round", begin);
  };
  const begin = (): void => {
    round().catch((error: unknown) => oracle.violate("a sweep without faults succeeds", String(error)));
  };
  begin();
}

/** What is not settled yet, in words; nothing where all is. */
async function whatIsLeft({ main, redis, qstash }: World): Promise<string> {
  const rows = await main.database.reader.counts(SOURCE);
  const log = await redis.store.reader.counts();
  const counts = {
    "unsettled rows": rows.unsettled,
    "dead in rows": rows.dead,
    "unsettled records": log.unsettled,
    held: log.held,
    dead: log.dead,
    "under way": qstash.active(),
  };
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} ${name}`)
    .join(", ");
}

async function waitsForPerson({ main, redis }: World): Promise<boolean> {
  const { held, dead } = await redis.store.reader.counts();
  return held + dead + (await main.database.reader.counts(SOURCE)).dead > 0;
}

/** Until something is due, or a person looks again. */
function waitFor({ redis, main, scheduler, qstash }: World, elapsed: number): number {
  const due = [
    ...redis.store.snapshot().due.map(([, entry]) => entry.dueAt),
    ...dueRows(main.database.snapshot()),
    ...(elapsed < PERSON_AFTER ? [scheduler.now + PERSON_AFTER - elapsed] : []),
    ...(qstash.active() > 0 ? [scheduler.now + Math.max(60_000, elapsed / 4)] : []),
  ].map((at) => at - scheduler.now + 1);
  return Math.min(LATE, Math.max(SOON, ...[Math.min(...due)].filter(Number.isFinite)));
}

/** When what is not settled is due; an intent is as soon as there is a decision. */
function dueRows(rows: DatabaseSnapshot): readonly number[] {
  const keys = new Set(rows.map(([key]) => key));
  return rows.flatMap(([key, stored]) => {
    const [kind, id] = key.split("/");
    const { due, row } = stored as { readonly due: number; readonly row?: { readonly settled: boolean } };
    if (kind === "decision") return row?.settled === true ? [] : [due];
    return kind === "intent" && !keys.has(`decision/${id}`) ? [due] : [];
  });
}
