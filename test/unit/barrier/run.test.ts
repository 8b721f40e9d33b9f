import { describe, expect, test, vi } from "vitest";
import type { AftercommitOptions, Transaction, Transport } from "aftercommit";
import { MemoryDatabaseError } from "aftercommit/memory";
import type { MemorySql } from "aftercommit/memory";
import { DEADLINE, losingReplies, memoryWorld, RESUME, SOURCE, WORLDS } from "../../support/barrier-world.ts";
import type { BarrierWorld, MemoryWorld } from "../../support/barrier-world.ts";
import { anything, ELSEWHERE, gate, intercepted, orderPaid, seatFreed, settled } from "../../support/world.ts";
import type { App } from "../../support/world.ts";

const publishOrder = (tx: Transaction, orderId = "o-1") => tx.publish(orderPaid, { orderId });

/** The data of what the transport took. */
const sentData = (w: BarrierWorld) =>
  w.transport.accepted.map(({ body }) => (JSON.parse(body) as { data: { orderId: string } }).data.orderId);

async function codeOf(response: Response): Promise<string | undefined> {
  return ((await response.json()) as { error?: { code?: string } }).error?.code;
}

/** What a call throws, with the parts that the documentation promises. */
async function errorOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (error: unknown) => error,
  );
}

for (const [name, make] of WORLDS) {
  describe(`a transaction of ${name}`, () => {
    test("carries what was published in its row, and sends it only after COMMIT", async () => {
      const w = make();
      let id = "";
      let before: unknown[] = [];
      const { order, ac } = w.shop(async (c) => {
        const { tx } = c.var;
        id = tx.id;
        await publishOrder(tx);
        await w.work(tx, ["o-1"]);
        before = [w.keys(), w.transport.calls.length, await w.row(id)];
        return c.text(tx.level, 201);
      });
      const response = await order();
      expect([response.status, await response.text()]).toEqual([201, "barrier"]);
      await ac.drain();
      expect(before).toMatchObject([["o-1"], 0, { verdict: "committed", settled: false, results: {} }]);
      expect(sentData(w)).toEqual(["o-1"]);
      expect(await w.row(id)).toMatchObject({ settled: true });
      expect(w.of("decided")).toEqual([{ type: "decided", transactionId: id, verdict: "committed", by: "request" }]);
      expect(w.of("prepared")).toMatchObject([{ transactionId: id, deliveries: 1, level: "barrier" }]);
      expect(w.store.snapshot()).toMatchObject({ due: [], decisions: [], held: [], dead: [] });
    });

    test("tells in its row who sent it, when, and what became of each delivery", async () => {
      const w = make();
      let id = "";
      const { ordered } = w.shop(
        async (c) => {
          const { tx } = c.var;
          id = tx.id;
          await publishOrder(tx);
          await w.work(tx, ["o-1"]);
          return c.body(null, 204);
        },
        { routes: { [orderPaid.name]: ["/consumers/receipt", ELSEWHERE] } },
      );
      await ordered();
      const row = (await w.row(id))!;
      expect(row).toMatchObject({
        transactionId: id,
        source: SOURCE,
        decidedAt: w.clock.now(),
        attempts: 0,
        settled: true,
      });
      expect(row.records.map(({ destination, database, on }) => [destination, database, on])).toEqual([
        [`${SOURCE}consumers/receipt`, "main", "commit"],
        [ELSEWHERE, "main", "commit"],
      ]);
      expect({ ...row.results }).toEqual(
        Object.fromEntries(row.records.map(({ key }) => [key, { state: "published" }])),
      );
      expect(await w.database.reader.counts(SOURCE)).toEqual({ unsettled: 0, dead: 0, decisions: 1 });
    });

    test("whose business failed sends nothing, and the error comes through", async () => {
      const w = make();
      const failure = new Error("no stock");
      const caught = vi.fn<(error: unknown) => void>();
      const { ordered, app } = w.shop(async (c) => {
        await publishOrder(c.var.tx);
        await w.work(c.var.tx, ["o-1"], () => {
          throw failure;
        });
        return c.text("never");
      });
      app.onError((error, c) => {
        caught(error);
        return c.text("sorry", 500);
      });
      expect((await ordered()).status).toBe(500);
      expect(caught).toHaveBeenCalledWith(failure);
      expect([w.keys(), w.transport.calls]).toEqual([[], []]);
      expect(await w.database.reader.counts(SOURCE)).toMatchObject({ decisions: 0, unsettled: 0 });
      expect(w.of("decided")).toMatchObject([{ verdict: "rolledBack", by: "request" }]);
      expect(w.store.snapshot().due).toEqual([]);
    });

    test("whose statement failed sends nothing, and the database's own error comes through", async () => {
      const w = make();
      let found: unknown;
      const { ordered } = w.shop(async (c) => {
        await publishOrder(c.var.tx);
        found = await errorOf(w.work(c.var.tx, ["o-1", "o-1"]));
        return c.text("swallowed");
      });
      expect((await ordered()).status).toBe(200);
      expect(found).toBeInstanceOf(Error);
      expect(found).not.toHaveProperty("hint");
      expect([w.keys(), w.sent()]).toEqual([[], []]);
    });

    test("answering 200 with a rolled-back transaction sends nothing: the status is not trusted", async () => {
      const w = make();
      const { ordered } = w.shop(async (c) => {
        await publishOrder(c.var.tx);
        await errorOf(
          w.work(c.var.tx, ["o-1"], () => {
            throw new Error("no stock");
          }),
        );
        return c.text("fine");
      });
      const response = await ordered();
      expect([response.status, await response.text()]).toEqual([200, "fine"]);
      await w.age(DEADLINE);
      await w.service().ac.operator().sweep({ audit: true });
      expect(w.transport.calls).toEqual([]);
    });

    test("answering 500 after COMMIT sends: the status is not trusted", async () => {
      const w = make();
      const { ordered } = w.shop(async (c) => {
        await publishOrder(c.var.tx);
        await w.work(c.var.tx, ["o-1"]);
        return c.text("the page could not be made", 500);
      });
      expect((await ordered()).status).toBe(500);
      expect([w.keys(), sentData(w)]).toEqual([["o-1"], ["o-1"]]);
    });

    test("throwing after COMMIT sends", async () => {
      const w = make();
      const { ordered, app } = w.shop(async (c) => {
        await publishOrder(c.var.tx);
        await w.work(c.var.tx, ["o-1"]);
        throw new Error("the page could not be made");
      });
      app.onError((_error, c) => c.text("sorry", 500));
      expect((await ordered()).status).toBe(500);
      expect(sentData(w)).toEqual(["o-1"]);
    });

    test("without messages writes no row, and costs no call of log or transport", async () => {
      const w = make();
      const never = (_call: unknown, called: string) => {
        throw new Error(`expected no call, found ${called}`);
      };
      const transport: Transport = {
        publish: () => never(undefined, "publish"),
        wake: () => never(undefined, "wake"),
        receiver: w.receiver,
      };
      const { ordered } = w.shop(
        async (c) => {
          await w.work(c.var.tx, ["o-1"]);
          return c.text("ok");
        },
        { log: intercepted(w.store, never), transport, recovery: { watchdog: "2m" } },
      );
      expect((await ordered()).status).toBe(200);
      expect(w.keys()).toEqual(["o-1"]);
      expect(await w.database.reader.counts(SOURCE)).toMatchObject({ decisions: 0 });
      expect(w.events).toEqual([]);
    });

    test("that was published to and never run answers 500, typed, and sends nothing", async () => {
      const w = make();
      const { ordered } = w.shop(async (c) => {
        await publishOrder(c.var.tx);
        return c.text("forgotten");
      });
      const response = await ordered();
      expect([response.status, await codeOf(response)]).toEqual([500, "ERR_NOT_COMMITTED"]);
      expect(w.of("requestFailed")).toMatchObject([
        { error: { code: "ERR_NOT_COMMITTED", name: "TransactionStateError" } },
      ]);
      expect((w.of("requestFailed")[0]!.error as Error).message).toContain("tx.run or tx.batch");
      await w.age(DEADLINE);
      await w.service().ac.operator().sweep({ audit: true });
      expect(w.transport.calls).toEqual([]);
    });

    test("that was published to and never run leaves the answer of a failure as it is, and sends nothing", async () => {
      const w = make();
      const { ordered } = w.shop(async (c) => {
        await publishOrder(c.var.tx);
        return c.text("not yours", 403);
      });
      const response = await ordered();
      expect([response.status, await response.text()]).toEqual([403, "not yours"]);
      expect([w.transport.calls, w.of("requestFailed")]).toEqual([[], []]);
      expect(w.store.snapshot().due).toEqual([]);
    });

    test("refuses what comes after its decision: a publish, a second run", async () => {
      const w = make();
      const found: unknown[] = [];
      const { ordered } = w.shop(async (c) => {
        const { tx } = c.var;
        await publishOrder(tx);
        await w.work(tx, ["o-1"]);
        found.push(await errorOf(publishOrder(tx, "o-2")), await errorOf(w.work(tx, ["o-2"])));
        return c.text(tx.id);
      });
      const id = await (await ordered()).text();
      const decided = {
        name: "TransactionStateError",
        code: "ERR_TRANSACTION_DECIDED",
        transactionId: id,
        hint: expect.stringContaining("transaction of its own"),
      };
      expect(found).toMatchObject([decided, decided]);
      expect([w.keys(), sentData(w)]).toEqual([["o-1"], ["o-1"]]);
    });

    test("refuses a second run after one that wrote no row: it has committed all the same", async () => {
      const w = make();
      const found: unknown[] = [];
      const { ordered } = w.shop(async (c) => {
        await w.work(c.var.tx, ["o-1"]);
        found.push(await errorOf(w.work(c.var.tx, ["o-2"])), await errorOf(publishOrder(c.var.tx)));
        return c.text("ok");
      });
      expect((await ordered()).status).toBe(200);
      expect(found).toMatchObject([{ code: "ERR_TRANSACTION_DECIDED" }, { code: "ERR_TRANSACTION_DECIDED" }]);
      expect(w.keys()).toEqual(["o-1"]);
    });

    test("runs again after it was certainly rolled back, with what was published before", async () => {
      const w = make();
      const { ordered } = w.shop(async (c) => {
        const { tx } = c.var;
        await publishOrder(tx, "first");
        await errorOf(w.work(tx, ["o-1", "o-1"]));
        await publishOrder(tx, "second");
        await w.work(tx, ["o-1"]);
        return c.text("ok");
      });
      expect((await ordered()).status).toBe(200);
      expect([w.keys(), sentData(w)]).toEqual([["o-1"], ["first", "second"]]);
    });

    test("refuses a database that does not decide it, and goes on with its own", async () => {
      const w = make();
      let found: unknown;
      const { ordered } = w.shop(
        async (c) => {
          const { tx } = c.var;
          await publishOrder(tx);
          found = await errorOf(
            w.way === "run" ? tx.run("other", async () => 1) : tx.batch("other", [async () => undefined]),
          );
          await w.work(tx, ["o-1"]);
          return c.text("ok");
        },
        { databases: { main: w.database, other: w.database } },
      );
      expect((await ordered()).status).toBe(200);
      expect(found).toMatchObject({
        code: "ERR_TRANSACTION_LEVEL",
        message: expect.stringContaining('Expected the database "main" of this transaction, found "other".'),
        hint: expect.stringContaining("decided in one database"),
      });
      expect(sentData(w)).toEqual(["o-1"]);
    });

    test("refuses the call that its database does not have, and goes on with the one that it has", async () => {
      const w = make();
      let found: unknown;
      const { ordered } = w.shop(async (c) => {
        const { tx } = c.var;
        await publishOrder(tx);
        found = await errorOf(w.way === "run" ? tx.batch("main", []) : tx.run("main", async () => 1));
        await w.work(tx, ["o-1"]);
        return c.text("ok");
      });
      expect((await ordered()).status).toBe(200);
      const other = w.way === "run" ? 'tx.run("main"' : 'tx.batch("main"';
      expect(found).toMatchObject({ code: "ERR_TRANSACTION_LEVEL", hint: expect.stringContaining(other) });
      expect(sentData(w)).toEqual(["o-1"]);
    });

    test("whose handler does not await its work is waited for before the answer", async () => {
      const w = make();
      const { passed, open } = gate();
      let answered = false;
      const { order, ac } = w.shop(async (c) => {
        await publishOrder(c.var.tx);
        void w.work(c.var.tx, ["o-1"], () => passed);
        return c.text("at once");
      });
      const response = order().then((found) => {
        answered = true;
        return found;
      });
      await settled();
      expect([answered, w.transport.calls]).toEqual([false, []]);
      open();
      expect((await response).status).toBe(200);
      await ac.drain();
      expect([w.keys(), sentData(w)]).toEqual([["o-1"], ["o-1"]]);
    });

    test("takes along what was published and not awaited before its work", async () => {
      const w = make();
      const { ordered } = w.shop(async (c) => {
        const published = [publishOrder(c.var.tx, "1"), publishOrder(c.var.tx, "2")];
        await w.work(c.var.tx, ["o-1"]);
        await Promise.all(published);
        return c.text("ok");
      });
      expect((await ordered()).status).toBe(200);
      expect(sentData(w)).toEqual(["1", "2"]);
    });

    test("with a message that is not awaited and cannot be sent tells it to who published, and sends the others", async () => {
      const w = make();
      let found: unknown;
      const { ordered } = w.shop(async (c) => {
        const { tx } = c.var;
        const bad = errorOf(tx.publish(orderPaid, { orderId: 1 as unknown as string }));
        const good = publishOrder(tx);
        await w.work(tx, ["o-1"]);
        found = await bad;
        await good;
        return c.text("ok");
      });
      expect((await ordered()).status).toBe(200);
      expect(found).toMatchObject({ code: "ERR_INVALID_MESSAGE" });
      expect(sentData(w)).toEqual(["o-1"]);
    });

    test("whose commit succeeded but whose reply was lost answers 500 with its id, and the messages go out", async () => {
      const w = make();
      let id = "";
      const { order, ac } = w.shop(
        async (c) => {
          id = c.var.tx.id;
          await publishOrder(c.var.tx);
          await w.work(c.var.tx, ["o-1"]);
          return c.text("never");
        },
        { databases: { main: losingReplies(w.database) } },
      );
      const response = await order();
      expect([response.status, response.headers.get("aftercommit-undecided")]).toEqual([500, id]);
      expect(await response.json()).toEqual({ error: { code: "ERR_OUTCOME_UNKNOWN", transactionId: id } });
      expect(w.of("outcomeUnknown")).toMatchObject([{ transactionId: id }]);
      await ac.drain();
      expect([w.keys(), sentData(w)]).toEqual([["o-1"], ["o-1"]]);
      expect(await w.row(id)).toMatchObject({ settled: true });
      expect(w.store.snapshot().due).toEqual([]);
    });

    test("of unknown outcome is not run again, and takes no more messages", async () => {
      const w = make();
      const found: unknown[] = [];
      const { ordered } = w.shop(
        async (c) => {
          const { tx } = c.var;
          await publishOrder(tx);
          found.push(await errorOf(w.work(tx, ["o-1"])), await errorOf(w.work(tx, ["o-2"])));
          found.push(await errorOf(publishOrder(tx, "o-2")));
          return c.text("swallowed");
        },
        { databases: { main: losingReplies(w.database) } },
      );
      const response = await ordered();
      expect([response.status, response.headers.has("aftercommit-undecided")]).toEqual([200, true]);
      expect(found).toMatchObject([
        { name: "OutcomeUnknownError", code: "ERR_OUTCOME_UNKNOWN", cause: { message: "no answer to the COMMIT" } },
        { code: "ERR_TRANSACTION_DECIDED" },
        { code: "ERR_TRANSACTION_DECIDED" },
      ]);
      expect([w.keys(), sentData(w)]).toEqual([["o-1"], ["o-1"]]);
    });

    test("with messages too large for a row is refused before COMMIT, and nothing of it is kept", async () => {
      const w = make();
      const { ordered } = w.shop(
        async (c) => {
          await c.var.tx.publish(anything, "x".repeat(2_000));
          await w.work(c.var.tx, ["o-1"]);
          return c.text("never");
        },
        { databases: { main: { ...w.database, maxRowBytes: 2_000 } } },
      );
      const response = await ordered();
      expect([response.status, await codeOf(response)]).toEqual([413, "ERR_MESSAGE_TOO_LARGE"]);
      expect([w.keys(), w.transport.calls]).toEqual([[], []]);
      expect(await w.database.reader.counts(SOURCE)).toMatchObject({ decisions: 0 });
    });

    test("counts a body once for all its destinations when it asks whether a row has room", async () => {
      const w = make();
      const { ordered } = w.shop(
        async (c) => {
          await c.var.tx.publish(anything, "x".repeat(2_000));
          await w.work(c.var.tx, ["o-1"]);
          return c.text("ok");
        },
        {
          databases: { main: { ...w.database, maxRowBytes: 4_500 } },
          routes: { [anything.name]: ["/a", "/b", ELSEWHERE] },
        },
      );
      expect((await ordered()).status).toBe(200);
      expect(w.transport.accepted).toHaveLength(3);
    });

    test("beside others of its kind sends each its own messages", async () => {
      const w = make();
      const { order, ac } = w.shop(async (c) => {
        const id = c.req.header("order")!;
        await publishOrder(c.var.tx, id);
        const broken = id.endsWith("3");
        await w.work(c.var.tx, broken ? [id, id] : [id]);
        return c.text(id, 201);
      });
      const ids = Array.from({ length: 20 }, (_, n) => `o-${n}`);
      const answers = await Promise.all(ids.map((id) => order({ headers: { order: id } })));
      await ac.drain();
      const good = ids.filter((id) => !id.endsWith("3")).sort();
      expect(answers.map(({ status }) => status).filter((status) => status === 201)).toHaveLength(good.length);
      expect([[...w.keys()].sort(), [...sentData(w)].sort()]).toEqual([good, good]);
    });
  });
}

describe("a run", () => {
  const inTurn = async (w: MemoryWorld, handle: (tx: Transaction) => Promise<unknown>) => {
    const shop = w.shop(async (c) => c.json({ value: (await handle(c.var.tx)) ?? null }));
    return shop.ordered();
  };

  test("takes along what is published inside of it, and resolves to what its work returns", async () => {
    const w = memoryWorld();
    const response = await inTurn(w, async (tx) => {
      await publishOrder(tx, "before");
      return tx.run("main", async (sql: MemorySql) => {
        await sql.insert("o-1", tx.id);
        const { id } = await publishOrder(tx, "inside");
        return [id === `${tx.id}_1`, await sql.get("o-1")];
      });
    });
    const { value } = (await response.json()) as { value: unknown[] };
    expect(value[0]).toBe(true);
    expect(w.main.table().get("o-1")).toBe(value[1]);
    expect(sentData(w)).toEqual(["before", "inside"]);
  });

  test("sends what was published inside and not awaited, or refuses it", async () => {
    const w = memoryWorld();
    const outcomes: Promise<unknown>[] = [];
    await inTurn(w, (tx) =>
      tx.run("main", async () => {
        outcomes.push(errorOf(publishOrder(tx, "in time")));
        void settled().then(() => outcomes.push(errorOf(publishOrder(tx, "late"))));
      }),
    );
    await settled();
    await settled();
    expect(await Promise.all(outcomes)).toMatchObject([undefined, { code: "ERR_TRANSACTION_DECIDED" }]);
    expect(sentData(w)).toEqual(["in time"]);
  });

  test("refuses another run and a batch inside of it, and goes on", async () => {
    const w = memoryWorld();
    const found: unknown[] = [];
    const response = await inTurn(w, (tx) =>
      tx.run("main", async (sql: MemorySql) => {
        found.push(await errorOf(tx.run("main", async () => 1)), await errorOf(tx.batch("main", [])));
        await sql.insert("o-1", 1);
        await publishOrder(tx);
      }),
    );
    expect(response.status).toBe(200);
    const nested = { name: "TransactionStateError", code: "ERR_TRANSACTION_NESTED" };
    expect(found).toMatchObject([
      { ...nested, hint: expect.stringContaining("tx.savepoint") },
      { ...nested, message: expect.stringContaining("tx.batch inside of tx.run") },
    ]);
    expect([w.keys(), sentData(w)]).toEqual([["o-1"], ["o-1"]]);
  });

  test("refuses a message for a rollback inside of it, and the work may go on", async () => {
    const w = memoryWorld();
    let found: unknown;
    await inTurn(w, (tx) =>
      tx.run("main", async () => {
        found = await errorOf(tx.publish(seatFreed, { seat: "1" }, { on: "rollback" }));
        await publishOrder(tx);
      }),
    );
    expect(found).toMatchObject({ code: "ERR_TRANSACTION_LEVEL", hint: expect.stringContaining("before tx.run") });
    expect(w.sent()).toEqual(["order.paid"]);
    expect(w.main.snapshot().filter(([key]) => key.startsWith("intent/"))).toEqual([]);
  });

  test("whose database cannot be opened is a typed 503, and may be made again with all its messages", async () => {
    const w = memoryWorld();
    let closed = true;
    let found: unknown;
    const main = async () => {
      if (closed) throw new Error("ECONNREFUSED");
      return w.database;
    };
    const shop = w.shop(
      async (c) => {
        const { tx } = c.var;
        await publishOrder(tx);
        found = await errorOf(w.work(tx, ["o-1"]));
        closed = false;
        await w.work(tx, ["o-1"]);
        return c.text("ok");
      },
      { databases: { main } },
    );
    expect((await shop.ordered()).status).toBe(200);
    expect(found).toMatchObject({
      name: "UnavailableError",
      code: "ERR_DATABASE_UNAVAILABLE",
      retryable: true,
      cause: { message: "ECONNREFUSED" },
    });
    expect(sentData(w)).toEqual(["o-1"]);
    closed = true;
    const refused = w.shop(async (c) => c.json(await w.work(c.var.tx, ["o-2"])), { databases: { main } });
    expect((await refused.ordered()).status).toBe(503);
  });
});

describe("retries of a run", () => {
  const retried = (w: MemoryWorld, work: (sql: MemorySql, tx: Transaction) => Promise<unknown>, retries?: number) =>
    w.shop(async (c) => {
      const { tx } = c.var;
      await publishOrder(tx, "before");
      await tx.run("main", async (sql: MemorySql) => work(sql, tx), retries === undefined ? {} : { retries });
      return c.text("ok");
    });

  /** Answers although waits between two tries pass on a clock that stands still. */
  const answered = async (w: MemoryWorld, response: Promise<Response>): Promise<Response> => {
    const state = { ended: false };
    void response.then(() => (state.ended = true));
    for (let n = 0; n < 20 && !state.ended; n++) await w.clock.advance(2_000);
    return response;
  };

  test("run the work again from its beginning, and double no message", async () => {
    const w = memoryWorld();
    let runs = 0;
    w.main.fail("commit", { times: 2 });
    const { ordered } = retried(
      w,
      async (sql, tx) => {
        await sql.insert(`o-${++runs}`, 1);
        await publishOrder(tx, `inside ${runs}`);
      },
      2,
    );
    expect((await answered(w, ordered())).status).toBe(200);
    expect([runs, w.keys(), sentData(w)]).toEqual([3, ["o-3"], ["before", "inside 3"]]);
    expect(w.transport.accepted).toHaveLength(2);
  });

  test("end after so many, and the last error comes through with nothing sent", async () => {
    const w = memoryWorld();
    let runs = 0;
    w.main.fail("commit", { times: 9 });
    const { ordered } = retried(w, async () => runs++, 2);
    expect((await answered(w, ordered())).status).toBe(500);
    expect([runs, w.transport.calls]).toEqual([3, []]);
  });

  test("are none by default", async () => {
    const w = memoryWorld();
    let runs = 0;
    w.main.fail("commit");
    expect((await retried(w, async () => runs++).ordered()).status).toBe(500);
    expect(runs).toBe(1);
  });

  test("are not spent on an error that another run would meet again", async () => {
    const w = memoryWorld();
    let runs = 0;
    const { ordered } = retried(
      w,
      async () => {
        runs++;
        throw new Error("no stock");
      },
      5,
    );
    expect([(await ordered()).status, runs]).toEqual([500, 1]);
  });

  test("are not spent on a COMMIT whose reply was lost", async () => {
    const w = memoryWorld();
    let runs = 0;
    w.main.fail("commitReplyLost");
    const { ordered } = retried(w, async () => runs++, 5);
    const response = await ordered();
    expect([response.status, runs, sentData(w)]).toEqual([500, 1, ["before"]]);
  });

  test("keep two requests that read what the other writes from losing an update", async () => {
    const w = memoryWorld();
    const both = gate();
    let reading = 0;
    const { order, ac } = w.shop(async (c) => {
      const { tx } = c.var;
      await tx.run(
        "main",
        async (sql: MemorySql) => {
          const stock = ((await sql.get("stock")) as number | undefined) ?? 0;
          if (++reading === 2) both.open();
          await both.passed;
          await sql.put("stock", stock + 1);
          await publishOrder(tx, `stock ${stock + 1}`);
        },
        { retries: 3 },
      );
      return c.text("ok");
    });
    const answers = [order(), order()].map((response) => answered(w, response));
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200]);
    await ac.drain();
    expect(w.main.table().get("stock")).toBe(2);
    expect(sentData(w)).toEqual(["stock 1", "stock 2"]);
  });
});

describe("a savepoint", () => {
  const inRun = async (w: MemoryWorld, work: (sql: MemorySql, tx: Transaction) => Promise<unknown>) =>
    w
      .shop(async (c) => {
        await c.var.tx.run("main", (sql: MemorySql) => work(sql, c.var.tx));
        return c.text("ok");
      })
      .ordered();
  const failing = (tx: Transaction, key: string) =>
    tx.savepoint(async (sql: MemorySql) => {
      await sql.insert(key, 1);
      await publishOrder(tx, key);
      throw new Error("not this one");
    });

  test("that is rolled back takes its messages with it, and no others", async () => {
    const w = memoryWorld();
    await inRun(w, async (sql, tx) => {
      await sql.insert("o-1", 1);
      await publishOrder(tx, "o-1");
      await expect(failing(tx, "o-2")).rejects.toThrow("not this one");
      await sql.insert("o-3", 1);
      await publishOrder(tx, "o-3");
    });
    expect([w.keys(), sentData(w)]).toEqual([
      ["o-1", "o-3"],
      ["o-1", "o-3"],
    ]);
  });

  test("that ends well resolves to what its work returns, and keeps its messages", async () => {
    const w = memoryWorld();
    await inRun(w, async (_sql, tx) => {
      const value = await tx.savepoint(async (sql: MemorySql) => {
        await sql.insert("o-1", 1);
        await publishOrder(tx, "o-1");
        return "kept";
      });
      expect(value).toBe("kept");
    });
    expect([w.keys(), sentData(w)]).toEqual([["o-1"], ["o-1"]]);
  });

  test("inside of another is rolled back alone, and with the other", async () => {
    const w = memoryWorld();
    await inRun(w, async (_sql, tx) => {
      await tx.savepoint(async (sql: MemorySql) => {
        await sql.insert("o-1", 1);
        await publishOrder(tx, "o-1");
        await failing(tx, "o-2").catch(() => undefined);
      });
      await tx
        .savepoint(async () => {
          await tx.savepoint(async (sql: MemorySql) => {
            await sql.insert("o-3", 1);
            await publishOrder(tx, "o-3");
          });
          throw new Error("not the outer one");
        })
        .catch(() => undefined);
    });
    expect([w.keys(), sentData(w)]).toEqual([["o-1"], ["o-1"]]);
  });

  test("takes along what was published in it and not awaited", async () => {
    const w = memoryWorld();
    await inRun(w, async (_sql, tx) => {
      await tx
        .savepoint(async () => {
          void publishOrder(tx, "o-1");
          throw new Error("not this one");
        })
        .catch(() => undefined);
      await publishOrder(tx, "o-2");
    });
    expect(sentData(w)).toEqual(["o-2"]);
  });

  test("that the work does not await ends before the row is written", async () => {
    const w = memoryWorld();
    const { passed, open } = gate();
    let ended: Promise<unknown> | undefined;
    const response = inRun(w, async (sql, tx) => {
      await sql.insert("o-1", 1);
      await publishOrder(tx, "o-1");
      ended = errorOf(
        tx.savepoint(async (part: MemorySql) => {
          await part.insert("o-2", 1);
          await publishOrder(tx, "o-2");
          await passed;
          throw new Error("not this one");
        }),
      );
    });
    await settled();
    expect(w.keys()).toEqual([]);
    open();
    expect((await response).status).toBe(200);
    expect(await ended).toMatchObject({ message: "not this one" });
    expect([w.keys(), sentData(w)]).toEqual([["o-1"], ["o-1"]]);
  });

  test("leaves nothing to send where all was rolled back with it, and takes its hint back", async () => {
    const w = memoryWorld();
    await inRun(w, async (_sql, tx) => {
      await failing(tx, "o-1").catch(() => undefined);
    });
    expect([w.decisions(), w.transport.calls, w.store.snapshot().due]).toEqual([[], [], []]);
  });

  test("outside of a run is refused", async () => {
    for (const way of ["run", "batch"] as const) {
      const w = memoryWorld(way);
      let found: unknown;
      await w
        .shop(async (c) => {
          found = await errorOf(c.var.tx.savepoint(async () => 1));
          return c.text("ok");
        })
        .ordered();
      expect(found).toMatchObject({ code: "ERR_TRANSACTION_LEVEL", hint: expect.stringContaining("tx.run") });
    }
  });
});

describe("a COMMIT whose reply was lost", () => {
  for (const way of ["run", "batch"] as const) {
    const shopOf = (w: MemoryWorld, overrides: Partial<AftercommitOptions> = {}) =>
      w.shop(async (c) => {
        await publishOrder(c.var.tx);
        await w.work(c.var.tx, ["o-1"]);
        return c.text("never");
      }, overrides);

    test(`and that had not arrived sends nothing, ever (${way})`, async () => {
      const w = memoryWorld(way);
      w.main.fail("commitLost");
      const response = await shopOf(w).ordered();
      expect([response.status, await codeOf(response)]).toEqual([500, "ERR_OUTCOME_UNKNOWN"]);
      for (let n = 0; n < 5; n++) {
        await w.age(DEADLINE);
        await w.service().ac.operator().sweep({ audit: true });
      }
      expect([w.keys(), w.transport.calls, w.store.snapshot().due]).toEqual([[], [], []]);
    });

    test(`and whose database stays away is finished by the hint's sweep (${way})`, async () => {
      const w = memoryWorld(way);
      w.main.fail("commitReplyLost");
      const mend = w.main.fail("replyLost", { times: Number.POSITIVE_INFINITY });
      expect((await shopOf(w).ordered()).status).toBe(500);
      mend();
      expect([w.keys(), w.transport.calls]).toEqual([["o-1"], []]);
      expect(w.of("recordFailed")).toHaveLength(1);
      await w.age(RESUME);
      expect(await w.service().ac.operator().sweep({ audit: false })).toMatchObject({ published: 1 });
      expect([sentData(w), w.store.snapshot().due]).toEqual([["o-1"], []]);
    });
  }
});

describe("a batch", () => {
  test("resolves to what its statements brought, and takes the messages along", async () => {
    const w = memoryWorld("batch");
    let results: unknown;
    await w
      .shop(async (c) => {
        await publishOrder(c.var.tx);
        results = await c.var.tx.batch("main", [
          (sql: MemorySql) => sql.insert("o-1", 7),
          (sql: MemorySql) => sql.get("o-1"),
        ]);
        return c.text("ok");
      })
      .ordered();
    expect(results).toEqual([undefined, 7]);
    expect(sentData(w)).toEqual(["o-1"]);
  });

  test("with a failing statement keeps nothing, and the same one may be made again", async () => {
    const w = memoryWorld("batch");
    let found: unknown;
    await w
      .shop(async (c) => {
        await publishOrder(c.var.tx);
        w.main.fail("statement");
        found = await errorOf(w.work(c.var.tx, ["o-1"]));
        await w.work(c.var.tx, ["o-1"]);
        return c.text("ok");
      })
      .ordered();
    expect(found).toBeInstanceOf(MemoryDatabaseError);
    expect([w.keys(), sentData(w)]).toEqual([["o-1"], ["o-1"]]);
  });
});

describe("a transaction without a database", () => {
  test("refuses run, batch and savepoint, at either level", async () => {
    for (const check of [undefined, "order"]) {
      const w = memoryWorld();
      const { ac, app } = w.service({ checks: { order: () => "unknown" } });
      const found: unknown[] = [];
      app.post("/plain", ac.transaction(check === undefined ? {} : { check }), async (c) => {
        const { tx } = c.var;
        for (const call of [tx.run("main", async () => 1), tx.batch("main", []), tx.savepoint(async () => 1)]) {
          found.push(await errorOf(call));
        }
        await publishOrder(tx);
        return c.text("ok");
      });
      expect((await post(app, "/plain")).status).toBe(200);
      await ac.drain();
      expect(found).toMatchObject(
        ["run", "batch", "savepoint"].map((verb) => ({
          code: "ERR_TRANSACTION_LEVEL",
          message: expect.stringContaining(`tx.${verb}`),
          hint: expect.stringContaining('ac.transaction({ database: "main" })'),
        })),
      );
      expect([w.keys(), sentData(w)]).toEqual([[], ["o-1"]]);
    }
  });
});

describe("a route with a database", () => {
  test("takes no second way to decide", () => {
    const w = memoryWorld();
    const checks = { order: () => "unknown" as const };
    for (const [option, value] of Object.entries({
      check: "order",
      commitWhen: () => true,
      whenLogUnavailable: "proceed",
      prepare: "eager",
    })) {
      const mount = () => w.service({ checks }).ac.transaction({ database: "main", [option]: value });
      expect(mount, option).toThrow(expect.objectContaining({ code: "ERR_CONFIGURATION" }));
    }
  });

  test("needs that database in the configuration", () => {
    const w = memoryWorld();
    expect(() => w.service().ac.transaction({ database: "other" })).toThrow("databases.other");
  });

  test("needs no log at all", async () => {
    const w = memoryWorld();
    const { ordered } = w.shop(
      async (c) => {
        await publishOrder(c.var.tx);
        await w.work(c.var.tx, ["o-1"]);
        return c.text("ok");
      },
      { log: undefined },
    );
    expect((await ordered()).status).toBe(200);
    expect(sentData(w)).toEqual(["o-1"]);
  });
});

async function post(app: App, path: string): Promise<Response> {
  return app.request(path, { method: "POST" });
}
