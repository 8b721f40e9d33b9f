import { Client } from "@upstash/qstash";
import { DEFAULT_MAX_CONCURRENCY } from "aftercommit/dev";
import { readDatabase } from "./database.ts";
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
import type { Output } from "./progress.ts";
import { settle } from "./settle.ts";
import { startShop } from "./shop-process.ts";

/** What a run showed. */
export interface Result {
  readonly seed: number;
  readonly holds: boolean;
  readonly figures: Figures;
  readonly identities: readonly Identity[];
}

/** Runs the demo once: starts everything, sends orders, kills the shop, waits until all is settled, looks at what is there. */
export async function runDemo(
  { orders, kills, seed }: DemoOptions,
  processes: Processes,
  database: string,
  out: Output,
): Promise<Result> {
  const startedAt = performance.now();
  out.write(`aftercommit: ${orders} orders, the shop killed ${kills} times, seed ${seed}\n\n`);
  const plan = drawPlan(seed, orders, kills);
  const infrastructure = await startInfrastructure(processes);
  const shop = await startShop(processes, infrastructure, database);
  out.write(
    `  QStash  ${infrastructure.qstash.url}  embedded, delivers ${DUPLICATE_RATE * 100} % of all messages twice\n`,
  );
  out.write(`  Redis   ${infrastructure.redis.url}  embedded\n`);
  out.write(`  shop    ${shop.url}  its orders in SQLite\n\n`);

  out.write(`Sending orders, ${CONCURRENCY} at a time, and killing the shop (SIGKILL) while it works on them\n`);
  const bar = progressBar(out, orders);
  const placed = await placeOrders(plan, shop, (now) =>
    bar.show(now.placed, `${now.kills} kill${now.kills === 1 ? "" : "s"}, ${now.inDoubt} orders in doubt`),
  );
  bar.end();

  out.write("Waiting until what the kills left behind is settled\n");
  const qstash = new Client({ baseUrl: infrastructure.qstash.url, token: infrastructure.qstash.token });
  const { counts, log } = await settle(shop, qstash);
  const dead = await readDead(shop);
  await shop.stop();
  const facts: Facts = {
    placed,
    ...readDatabase(database),
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
    holds: identities.every(({ offenders }) => offenders.length === 0),
    figures: figuresOf(facts, shop.events, seconds),
    identities,
  };
}
