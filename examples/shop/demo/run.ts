import { Client } from "@upstash/qstash";
import { DEFAULT_MAX_CONCURRENCY } from "aftercommit/dev";
import { startDatabase } from "./database.ts";
import { CONCURRENCY, placeOrders } from "./driver.ts";
import { readDead } from "./facts.ts";
import type { Facts } from "./facts.ts";
import { figuresOf } from "./figures.ts";
import type { Figures } from "./figures.ts";
import { checkIdentities } from "./identities.ts";
import type { Identity } from "./identities.ts";
import { DUPLICATE_RATE, startInfrastructure } from "./infrastructure.ts";
import type { DemoOptions } from "./options.ts";
import { drawPlan } from "./plan.ts";
import type { Processes } from "./processes.ts";
import { progressBar } from "./progress.ts";
import type { Output, ProgressBar } from "./progress.ts";
import { settle } from "./settle.ts";
import { FAILURE_RATE, startShop } from "./shop-process.ts";

/** What a run showed. */
export interface Result {
  readonly seed: number;
  readonly database: DemoOptions["database"];
  readonly level: DemoOptions["level"];
  readonly holds: boolean;
  readonly figures: Figures;
  readonly identities: readonly Identity[];
}

/** What a run works with. */
export interface Workplace {
  readonly processes: Processes;
  /** Where files are kept. */
  readonly folder: string;
  readonly out: Output;
  /** Told what it waits for, so that whoever ends it can say so. */
  readonly waitsFor: (what: string) => void;
}

/** Runs the demo once: starts everything, sends orders, kills the shop, waits until all is settled, looks at what is there. */
export async function runDemo(options: DemoOptions, workplace: Workplace): Promise<Result> {
  const { orders, kills, seed, level } = options;
  const { processes, folder, out, waitsFor } = workplace;
  const startedAt = performance.now();
  out.write(`aftercommit: ${orders} orders, the shop killed ${kills} times, seed ${seed}\n\n`);
  waitsFor("QStash, Redis, the database and the shop to start");
  const { qstash, redis } = await startInfrastructure(processes);
  const database = await startDatabase(options, processes, folder);
  const shop = await startShop(processes, { qstash, redis }, database.address);
  out.write(`  QStash  ${qstash.url}  embedded; delivers ${DUPLICATE_RATE * 100} % of all messages twice\n`);
  out.write(`  Redis   ${redis.url}  embedded\n`);
  out.write(
    `  shop    ${shop.url}  orders in ${database.title}, at level ${level}; consumers fail ${FAILURE_RATE * 100} % of the time\n\n`,
  );

  out.write(`Sending orders, ${CONCURRENCY} at a time, and killing the shop (SIGKILL) while it works on them\n`);
  const sending = progressBar(out, orders);
  const placed = await placeOrders(drawPlan(seed, orders, kills), shop, (now) => {
    waitsFor(`the orders to be answered: ${now.placed} of ${orders}`);
    sending.show(now.placed, `${now.kills} kill${now.kills === 1 ? "" : "s"}, ${now.unanswered} orders unanswered`);
  });
  sending.end();

  out.write("Waiting until what the kills left behind is settled\n");
  const client = new Client({ baseUrl: qstash.url, token: qstash.token });
  let settling: ProgressBar | undefined;
  let first = 0;
  const { counts, log } = await settle(shop, client, ({ unsettled, held }) => {
    waitsFor(`the log to be settled: ${unsettled} unsettled, ${held} held`);
    settling ??= progressBar(out, (first = unsettled));
    settling.show(Math.max(0, first - unsettled), "deliveries settled");
  });
  settling?.end();
  const dead = await readDead(shop);
  waitsFor("the shop to stop");
  await shop.stop();

  const facts: Facts = {
    placed,
    ...(await database.read()),
    messages: log.messages,
    dead,
    counts,
    killedBoots: shop.killedBoots,
    consumersAtATime: DEFAULT_MAX_CONCURRENCY,
  };
  const identities = checkIdentities(facts);
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  return {
    seed,
    database: options.database,
    level,
    holds: identities.every(({ offenders }) => offenders.length === 0),
    figures: figuresOf(facts, identities, shop.events, seconds),
    identities,
  };
}
