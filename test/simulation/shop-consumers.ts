import { FatalError } from "aftercommit";
import type { Aftercommit } from "aftercommit";
import type { MemorySql } from "aftercommit/memory";
import { call } from "./call.ts";
import { act, book } from "./effects.ts";
import type { App, Env } from "./shop.ts";
import { inboxKeyOf } from "./invariants/log.ts";
import { arrived, noted, paid, SHOP, transfer, undone } from "./topics.ts";

const MAIN = { database: "main" };
/** How long a plain handler may take. */
const DAWDLES = [0, 4_000, 40_000, 100_000] as const;

/** Mounts what consumes: with the effect in the database, plainly, and sending on in both ways. */
export function mountConsumers(app: App, ac: Aftercommit<Env>): void {
  app.post(
    "/consumers/credit",
    ac.consumer(
      transfer,
      async (message, c) => {
        const { to, amount } = message.data;
        const credit = async (sql: MemorySql): Promise<void> => {
          await book(sql, to, amount);
          await act(sql, "credit", message.id);
        };
        const { world } = c.env as Env;
        if (world.setup.batches) await message.batch("main", [credit]);
        else await message.run("main", credit);
        if (world.faults.percent(4)) throw new Error("after the commit");
      },
      MAIN,
    ),
  );
  app.post(
    "/consumers/forward",
    ac.consumer(
      paid,
      async (message, c) => {
        const { world } = c.env as Env;
        const send = () => message.tx.publish(arrived, { parent: message.id, by: "forward" });
        const early = world.setup.batches || world.faults.percent(30);
        if (early) await send();
        const work = async (sql: MemorySql): Promise<void> => {
          await act(sql, "forward", message.id);
          if (!early) await send();
        };
        if (world.setup.batches) await message.batch("main", [work]);
        else await message.run("main", work, { retries: 2 });
        if (world.faults.percent(4)) throw new Error("after the commit");
      },
      MAIN,
    ),
  );
  app.post(
    "/consumers/arrive",
    ac.consumer(
      arrived,
      (message) =>
        message.run("main", async (sql: MemorySql) => {
          await act(sql, "arrive", message.id);
          await act(sql, message.data.by === "relay" ? "relayed" : "forwarded", message.data.parent);
        }),
      MAIN,
    ),
  );
  app.post(
    "/consumers/undo",
    ac.consumer(undone, (message) => message.run("main", (sql: MemorySql) => act(sql, "undo", message.id)), MAIN),
  );
  app.post(
    "/consumers/note",
    ac.consumer(noted, (message, c) => plainly(c.env as Env, "note", message.id)),
  );
  app.post(
    "/consumers/relay",
    ac.consumer(paid, async (message, c) => {
      await message.tx.publish(arrived, { parent: message.id, by: "relay" });
      await plainly(c.env as Env, "relay", message.id);
    }),
  );
}

/** An effect outside of any database, which takes its time, and fails now and then. */
async function plainly({ world, process }: Env, consumer: string, messageId: string): Promise<void> {
  const key = inboxKeyOf({ consumer: `${SHOP}/consumers/${consumer}`, messageId });
  const end = world.oracle.log.leases.begins(key, process);
  if (world.faults.percent(4)) world.pause(process);
  await world.sleep(process, DAWDLES[world.faults.below(9)] ?? 0);
  await call(world, process, {
    port: "delivery",
    name: `effect.${consumer}`,
    act: () => world.oracle.acted(consumer, messageId),
  }).finally(end);
  if (world.faults.percent(4)) throw new Error("after the effect");
  if (world.faults.percent(1)) throw new FatalError("no retry helps");
}
