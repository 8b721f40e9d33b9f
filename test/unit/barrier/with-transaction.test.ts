import { describe, expect, test } from "vitest";
import { aftercommit } from "aftercommit";
import type { AftercommitOptions, Transaction } from "aftercommit";
import type { MemorySql } from "aftercommit/memory";
import type { AnyDatabase } from "../../../src/ports/database.ts";
import { losingReplies, memoryWorld, RESUME, sqliteWorld, WORLDS } from "../../support/barrier-world.ts";
import type { BarrierWorld } from "../../support/barrier-world.ts";
import { gate, intercepted, orderPaid, seatFreed, settled } from "../../support/world.ts";

const publishOrder = (tx: Transaction, orderId = "o-1") => tx.publish(orderPaid, { orderId });

async function errorOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** Inserts a key and publishes, as a database of either kind has it. */
async function order(w: BarrierWorld, tx: Transaction, sql: unknown, fails = false): Promise<string> {
  await publishOrder(tx);
  if (w.way === "batch") await w.work(tx, fails ? ["o-1", "o-1"] : ["o-1"]);
  else if ("prepare" in (sql as object)) {
    const insert = (sql as { prepare(text: string): { run(id: string): unknown } }).prepare(
      "INSERT INTO orders (id) VALUES (?)",
    );
    insert.run("o-1");
    if (fails) insert.run("o-1");
  } else {
    await (sql as MemorySql).insert("o-1", 1);
    if (fails) await (sql as MemorySql).insert("o-1", 2);
  }
  return tx.id;
}

const run = (w: BarrierWorld, fails = false, overrides: Partial<AftercommitOptions> = {}) =>
  w.service(overrides).ac.withTransaction("main", (tx, sql) => order(w, tx, sql, fails));

for (const [name, make] of WORLDS) {
  describe(`withTransaction (${name})`, () => {
    test("commits, and has sent the messages when it resolves to what the work returned", async () => {
      const w = make();
      const id = await run(w);
      expect([w.keys(), w.sent()]).toEqual([["o-1"], ["order.paid"]]);
      expect(await w.row(id)).toMatchObject({ verdict: "committed", settled: true });
      expect(w.store.snapshot().due).toEqual([]);
    });

    test("whose work throws is rolled back, sends nothing, and the error comes through", async () => {
      const w = make();
      expect(await errorOf(run(w, true))).toBeInstanceOf(Error);
      expect([w.keys(), w.transport.calls, w.store.snapshot().due]).toEqual([[], [], []]);
    });

    test("without messages writes no row, and calls neither log nor transport", async () => {
      const w = make();
      const log = intercepted(w.store, (_call, called) => {
        throw new Error(`expected no call, found ${called}`);
      });
      const { ac } = w.service({ log });
      const value = await ac.withTransaction("main", async (tx) => (w.way === "batch" ? w.work(tx, []) : 7));
      expect([value, w.transport.calls, w.events]).toEqual([w.way === "batch" ? [] : 7, [], []]);
    });

    test("whose COMMIT reply was lost rejects with its id, and the messages go out", async () => {
      const w = make();
      const found = await errorOf(run(w, false, { databases: { main: losingReplies(w.database) } }));
      expect(found).toMatchObject({ name: "OutcomeUnknownError", transactionId: expect.any(String) });
      expect([w.keys(), w.sent()]).toEqual([["o-1"], ["order.paid"]]);
    });

    test("resolves although the transport is down; a sweep sends what it committed", async () => {
      const w = make();
      w.transport.fail("unreachable");
      await run(w);
      expect([w.keys(), w.sent()]).toEqual([["o-1"], []]);
      await w.age(RESUME);
      await w.service().ac.operator().sweep({ audit: false });
      expect(w.sent()).toEqual(["order.paid"]);
    });

    test("opens its database once, where that is a function, and closes it after the messages are sent", async () => {
      const w = make();
      const steps: string[] = [];
      const main = async (): Promise<AnyDatabase> => {
        steps.push("opened");
        return { ...w.database, close: async () => void steps.push(`closed, ${w.sent().length} sent`) };
      };
      await run(w, false, { databases: { main } });
      expect(steps).toEqual(["opened", "closed, 1 sent"]);
      await errorOf(run(w, true, { databases: { main } }));
      expect(steps.slice(2)).toEqual(["opened", "closed, 1 sent"]);
    });

    test("whose database cannot be opened rejects with a typed error, and runs nothing", async () => {
      const w = make();
      const main = () => Promise.reject(new Error("ECONNREFUSED"));
      const found = await errorOf(run(w, false, { databases: { main } }));
      expect(found).toMatchObject({ code: "ERR_DATABASE_UNAVAILABLE", cause: { message: "ECONNREFUSED" } });
      expect(w.events).toEqual([]);
    });

    test("refuses what its work leaves behind and does after the end", async () => {
      const w = make();
      let kept: Transaction | undefined;
      await w.service().ac.withTransaction("main", async (tx, sql) => {
        kept = tx;
        await order(w, tx, sql);
      });
      expect(await errorOf(publishOrder(kept!))).toMatchObject({ code: "ERR_TRANSACTION_DECIDED" });
      expect(await errorOf(w.work(kept!, ["o-2"]))).toMatchObject({ code: "ERR_TRANSACTION_DECIDED" });
    });

    test("takes the environment of a configuration that is a function of one", async () => {
      const w = make();
      interface Env {
        readonly name: string;
        readonly database: AnyDatabase;
      }
      const seen: string[] = [];
      const ac = aftercommit<Env>((env) => {
        seen.push(env.name);
        return w.options({ databases: { main: env.database } });
      });
      const env: Env = { name: "production", database: w.database };
      const inTransaction = () => ac.withTransaction("main", (tx, sql: unknown) => order(w, tx, sql), { env });
      await inTransaction();
      await errorOf(inTransaction());
      expect(seen).toEqual(["production"]);
      expect(w.sent()).toEqual(["order.paid"]);
    });
  });
}

describe("withTransaction with a database that keeps transactions open", () => {
  test("runs the work inside of one, so that another inside of it is refused", async () => {
    const w = memoryWorld();
    let found: unknown;
    await w.service().ac.withTransaction("main", async (tx, sql: MemorySql) => {
      found = await errorOf(tx.run("main", async () => 1));
      await sql.insert("o-1", 1);
    });
    expect(found).toMatchObject({ code: "ERR_TRANSACTION_NESTED" });
    expect(w.keys()).toEqual(["o-1"]);
  });

  test("tries again as often as it is told", async () => {
    const w = memoryWorld();
    w.main.fail("commit", { times: 2 });
    let runs = 0;
    const work = async (tx: Transaction, sql: MemorySql) => {
      await sql.insert(`o-${++runs}`, 1);
      await publishOrder(tx, `o-${runs}`);
    };
    const done = w.service().ac.withTransaction("main", work, { retries: 2 });
    await w.clock.advance(5_000);
    await done;
    expect([runs, w.keys(), w.transport.accepted.length]).toEqual([3, ["o-3"], 1]);
  });

  test("has savepoints", async () => {
    const w = memoryWorld();
    await w.service().ac.withTransaction("main", async (tx) => {
      await errorOf(
        tx.savepoint(async () => {
          await publishOrder(tx, "not this one");
          throw new Error("no stock");
        }),
      );
      await publishOrder(tx);
    });
    expect(w.transport.accepted).toHaveLength(1);
  });
});

describe("withTransaction with a database that takes batches only", () => {
  test("gives no handle, and rejects where what was published was never committed", async () => {
    const w = memoryWorld("batch");
    const found = await errorOf(
      w.service().ac.withTransaction("main", async (tx, sql) => {
        expect(sql).toBeUndefined();
        await publishOrder(tx);
      }),
    );
    expect(found).toMatchObject({ code: "ERR_NOT_COMMITTED" });
    expect(w.transport.calls).toEqual([]);
  });

  test("sends what was committed although the work throws afterwards, and the error comes through", async () => {
    const w = memoryWorld("batch");
    const found = await errorOf(
      w.service().ac.withTransaction("main", async (tx) => {
        await publishOrder(tx);
        await w.work(tx, ["o-1"]);
        throw new Error("too late");
      }),
    );
    expect(found).toMatchObject({ message: "too late" });
    expect([w.keys(), w.sent()]).toEqual([["o-1"], ["order.paid"]]);
  });

  test("sends compensations where its work fails", async () => {
    const w = memoryWorld("batch");
    await errorOf(
      w.service().ac.withTransaction("main", async (tx) => {
        await tx.publish(seatFreed, { seat: "1" }, { on: "rollback" });
        await publishOrder(tx);
        await w.work(tx, ["o-1", "o-1"]);
      }),
    );
    expect([w.keys(), w.sent()]).toEqual([[], ["seat.freed"]]);
  });

  test("waits for a batch that its work did not await", async () => {
    const w = memoryWorld("batch");
    const { passed, open } = gate();
    let ended = false;
    const done = w
      .service()
      .ac.withTransaction("main", async (tx) => {
        await publishOrder(tx);
        void w.work(tx, ["o-1"], () => passed);
      })
      .then(() => (ended = true));
    await settled();
    expect(ended).toBe(false);
    open();
    await done;
    expect([w.keys(), w.sent()]).toEqual([["o-1"], ["order.paid"]]);
  });
});

test("withTransaction of a database that is not configured is a typed error", async () => {
  const w = sqliteWorld();
  const found = await errorOf(w.service().ac.withTransaction("other", async () => 1));
  expect(found).toMatchObject({ code: "ERR_CONFIGURATION", problems: [{ path: "databases.other" }] });
});
