import { describe, expect, test } from "vitest";
import type { Transaction } from "aftercommit";
import type { MemorySql } from "aftercommit/memory";
import { DEADLINE, EMPTY, memoryWorld, RESUME, SOURCE, steps, WORLDS } from "../../support/barrier-world.ts";
import type { BarrierWorld } from "../../support/barrier-world.ts";
import { BEARER, faulty, gate, orderPaid, seatFreed, settled } from "../../support/world.ts";

const publishOrder = (tx: Transaction) => tx.publish(orderPaid, { orderId: "o-1" });
const freeSeat = (tx: Transaction, seat = "1") => tx.publish(seatFreed, { seat }, { on: "rollback" });
const noAudit = { audit: false };

async function errorOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** The seats whose compensations the transport took. */
const freed = (w: BarrierWorld) =>
  w.transport.accepted
    .filter(({ record }) => record.topic === "seat.freed")
    .map(({ body }) => (JSON.parse(body) as { data: { seat: string } }).data.seat);

const failing = (w: BarrierWorld, tx: Transaction) =>
  w.work(tx, ["o-1"], () => {
    throw new Error("no stock");
  });

/** Sweeps until nothing more can come of it. */
async function recovered(w: BarrierWorld): Promise<void> {
  for (let n = 0; n < 4; n++) {
    await w.age(DEADLINE);
    await w.service().ac.operator().sweep({ audit: true });
  }
}

for (const [name, make] of WORLDS) {
  describe(`messages for a rollback of a transaction of ${name}`, () => {
    test("stand in the database before the promise resolves, each appended to those before", async () => {
      const w = make();
      const seen: unknown[] = [];
      const { ordered } = w.shop(async (c) => {
        const { tx } = c.var;
        seen.push(await w.found(tx.id));
        await freeSeat(tx, "1");
        seen.push(await w.found(tx.id));
        await Promise.all([freeSeat(tx, "2"), freeSeat(tx, "3")]);
        seen.push(await w.found(tx.id));
        await w.work(tx, ["o-1"]);
        return c.text("ok");
      });
      await ordered();
      const record = { topic: "seat.freed", on: "rollback", database: "main" };
      expect(seen).toMatchObject([
        undefined,
        { state: "intended", overdue: false, records: [record] },
        { state: "intended", overdue: false, records: [record, record, record] },
      ]);
    });

    for (const [how, handle] of Object.entries<(w: BarrierWorld, tx: Transaction) => Promise<number>>({
      "business failed and the error comes through": async (w, tx) => {
        await failing(w, tx);
        return 200;
      },
      "business failed and the handler answers 200": async (w, tx) => {
        await errorOf(failing(w, tx));
        return 200;
      },
      "business was never run": async () => 409,
    })) {
      test(`go out where the ${how}; messages for a commit do not`, async () => {
        const w = make();
        const { ordered } = w.shop(async (c) => {
          const { tx } = c.var;
          await freeSeat(tx);
          await publishOrder(tx);
          return c.text(tx.id, (await handle(w, tx)) as 200);
        });
        await ordered();
        expect([w.keys(), w.sent()]).toEqual([[], ["seat.freed"]]);
        const { transactionId } = w.of("decided")[0]!;
        expect(w.of("decided")).toMatchObject([{ verdict: "rolledBack", by: "request" }]);
        expect(await w.row(transactionId)).toMatchObject({ verdict: "rolledBack", settled: true });
        expect(w.store.snapshot().due).toEqual([]);
        await recovered(w);
        expect(w.sent()).toEqual(["seat.freed"]);
      });
    }

    test("go out with the typed 500 of a success that forgot to run", async () => {
      const w = make();
      const { ordered } = w.shop(async (c) => {
        await freeSeat(c.var.tx);
        await publishOrder(c.var.tx);
        return c.text("forgotten");
      });
      expect((await ordered()).status).toBe(500);
      expect(w.sent()).toEqual(["seat.freed"]);
    });

    test("go out although the answer is a success that wanted nothing else", async () => {
      const w = make();
      const { ordered } = w.shop(async (c) => {
        await freeSeat(c.var.tx);
        return c.text("reserved and let go");
      });
      expect((await ordered()).status).toBe(200);
      expect(w.sent()).toEqual(["seat.freed"]);
    });

    for (const status of [200, 500] as const) {
      test(`never go out once the transaction is committed, though the handler answers ${status}`, async () => {
        const w = make();
        let id = "";
        const { ordered } = w.shop(async (c) => {
          const { tx } = c.var;
          id = tx.id;
          await freeSeat(tx);
          await publishOrder(tx);
          await w.work(tx, ["o-1"]);
          return c.text("answered", status);
        });
        expect((await ordered()).status).toBe(status);
        await recovered(w);
        expect([w.keys(), w.sent()]).toEqual([["o-1"], ["order.paid"]]);
        expect(await w.row(id)).toMatchObject({ verdict: "committed", settled: true });
        expect(await w.database.reader.counts(SOURCE)).toEqual({ unsettled: 0, dead: 0, decisions: 1 });
      });
    }

    test("have their decision where the commit has no messages of its own", async () => {
      const w = make();
      let id = "";
      const { ordered } = w.shop(async (c) => {
        id = c.var.tx.id;
        await freeSeat(c.var.tx);
        await w.work(c.var.tx, ["o-1"]);
        return c.text("ok");
      });
      await ordered();
      expect(await w.row(id)).toMatchObject({ verdict: "committed", records: [], settled: true });
      await recovered(w);
      expect(w.transport.calls).toEqual([]);
    });

    for (const [how, forget] of [
      ["the hint", false],
      ["the audit, where the log has lost the hint", true],
    ] as const) {
      test(`of a request that died before its work go out after the deadline, by ${how}`, async () => {
        const w = make();
        const { order } = w.shop(async (c) => {
          await freeSeat(c.var.tx);
          await publishOrder(c.var.tx);
          await new Promise(() => undefined);
          return c.text("never");
        });
        void order();
        await settled();
        if (forget) w.store.restore(EMPTY);
        const operator = w.service().ac.operator();
        await w.age(DEADLINE - 5_000);
        await operator.sweep({ audit: forget });
        expect(w.transport.calls).toEqual([]);
        await w.age(DEADLINE);
        await operator.sweep({ audit: forget });
        expect(w.sent()).toEqual(["seat.freed"]);
        expect(w.of("decided")).toMatchObject([{ verdict: "rolledBack", by: "sweep" }]);
        await recovered(w);
        expect(w.sent()).toEqual(["seat.freed"]);
      });
    }

    for (const [what, swallows] of [
      ["is refused with a typed 503", false],
      ["is undone although the handler swallows that", true],
    ] as const) {
      test(`check-back first, then the late commit ${what}: nothing of its work stands`, async () => {
        const w = make();
        const { passed, open } = gate();
        let found: unknown;
        const { order, ac } = w.shop(async (c) => {
          const { tx } = c.var;
          await freeSeat(tx);
          await publishOrder(tx);
          await passed;
          found = await errorOf(w.work(tx, ["o-1"]));
          if (!swallows) throw found;
          return c.text("fine");
        });
        const response = order();
        await settled();
        await w.age(DEADLINE);
        await w.service().ac.operator().sweep(noAudit);
        expect(w.sent()).toEqual(["seat.freed"]);
        open();
        const answer = await response;
        expect(answer.status).toBe(swallows ? 200 : 503);
        if (!swallows) {
          expect(answer.headers.get("retry-after")).not.toBeNull();
          expect(await answer.json()).toMatchObject({ error: { code: "ERR_ROLLED_BACK" } });
        }
        await ac.drain();
        expect(found).toMatchObject({ name: "RolledBackError", code: "ERR_ROLLED_BACK", retryable: true });
        await recovered(w);
        expect([w.keys(), w.sent()]).toEqual([[], ["seat.freed"]]);
      });
    }

    test("missing: a late commit is simply a commit, and is delivered", async () => {
      const w = make();
      const { passed, open } = gate();
      const { order, ac } = w.shop(async (c) => {
        await publishOrder(c.var.tx);
        await passed;
        await w.work(c.var.tx, ["o-1"]);
        return c.text("late");
      });
      const response = order();
      await settled();
      for (let n = 0; n < 3; n++) {
        await w.age(DEADLINE);
        await w.service().ac.operator().sweep({ audit: true });
      }
      expect(w.store.snapshot().due).toEqual([]);
      open();
      expect((await response).status).toBe(200);
      await ac.drain();
      expect([w.keys(), w.sent()]).toEqual([["o-1"], ["order.paid"]]);
    });

    test("are refused once the transaction is decided, by a check-back or by itself", async () => {
      const w = make();
      const { passed, open } = gate();
      const found: unknown[] = [];
      const { order, ordered, ac } = w.shop(async (c) => {
        const { tx } = c.var;
        if (c.req.header("late") === undefined) {
          await w.work(tx, ["o-1"]);
          found.push(await errorOf(freeSeat(tx)));
          return c.text("ok");
        }
        await freeSeat(tx, "1");
        await passed;
        found.push(await errorOf(freeSeat(tx, "2")));
        return c.text("ok");
      });
      await ordered();
      const late = order({ headers: { late: "yes" } });
      await settled();
      await w.age(DEADLINE);
      await w.service().ac.operator().sweep(noAudit);
      open();
      await late;
      await ac.drain();
      const decided = { name: "TransactionStateError", code: "ERR_TRANSACTION_DECIDED" };
      expect(found).toMatchObject([
        { ...decided, hint: expect.stringContaining("Publish before") },
        { ...decided, hint: expect.stringContaining("recovery.deadline") },
      ]);
      expect(freed(w)).toEqual(["1"]);
    });

    test("go out although the log is down throughout", async () => {
      const w = make();
      const log = faulty(w.store, () => "unreachable");
      const { ordered } = w.shop(
        async (c) => {
          await freeSeat(c.var.tx);
          return c.text("no", 409);
        },
        { log },
      );
      expect((await ordered()).status).toBe(409);
      expect(w.sent()).toEqual(["seat.freed"]);
    });

    test("that the transport does not take go out later", async () => {
      const w = make();
      w.transport.fail("unreachable");
      const { ordered } = w.shop(async (c) => {
        await freeSeat(c.var.tx);
        return c.text("no", 409);
      });
      await ordered();
      expect([w.sent(), w.of("publishFailed").length]).toEqual([[], 1]);
      await w.age(RESUME);
      await w.service().ac.operator().sweep(noAudit);
      expect(w.sent()).toEqual(["seat.freed"]);
    });

    test("let a person roll back an undecided transaction, and not commit it", async () => {
      const w = make();
      const { passed, open } = gate();
      let id = "";
      const { order, ac } = w.shop(async (c) => {
        id = c.var.tx.id;
        await freeSeat(c.var.tx);
        await passed;
        await w.work(c.var.tx, ["o-1"]);
        return c.text("ok");
      });
      const response = order();
      await settled();
      const { ac: other, app } = w.service();
      const operator = other.operator();
      await expect(operator.decide(id, "committed")).rejects.toMatchObject({
        name: "OperationError",
        code: "ERR_CONFLICT",
        hint: expect.stringContaining("Only its own SQL transaction can commit it"),
      });
      expect((await w.found(id))?.state).toBe("intended");
      const path = `/_aftercommit/transactions/${id}/rollback`;
      const headers = { authorization: `Bearer ${BEARER}` };
      expect((await app.request(path, { method: "POST", headers })).status).toBe(200);
      expect(w.of("decided")).toMatchObject([{ verdict: "rolledBack", by: "person" }]);
      expect(freed(w)).toEqual(["1"]);
      await expect(operator.decide(id, "rolledBack")).resolves.toMatchObject({ verdict: "rolledBack" });
      await expect(operator.decide(id, "committed")).rejects.toMatchObject({ code: "ERR_CONFLICT" });
      open();
      expect((await response).status).toBe(503);
      await ac.drain();
      await recovered(w);
      expect([w.keys(), freed(w)]).toEqual([[], ["1"]]);
    });

    test("of a committed transaction cannot be called for by a person", async () => {
      const w = make();
      const { ordered, ac } = w.shop(async (c) => {
        await freeSeat(c.var.tx);
        await w.work(c.var.tx, ["o-1"]);
        return c.text(c.var.tx.id);
      });
      const id = await (await ordered()).text();
      await expect(ac.operator().decide(id, "rolledBack")).rejects.toMatchObject({ code: "ERR_CONFLICT" });
      await expect(ac.operator().decide(id, "committed")).resolves.toMatchObject({ verdict: "committed" });
      expect(w.sent()).toEqual([]);
    });
  });
}

test("messages for a rollback that are not awaited are in the database before the work begins", async () => {
  const w = memoryWorld();
  let seen: unknown;
  const { ordered } = w.shop(async (c) => {
    const { tx } = c.var;
    const published = freeSeat(tx);
    await w.work(tx, ["o-1"], async () => (seen = await w.found(tx.id)));
    await published;
    return c.text("ok");
  });
  await ordered();
  expect(seen).toMatchObject({ state: "intended" });
  expect([w.keys(), w.sent()]).toEqual([["o-1"], []]);
});

describe("an intent that the database did not confirm", () => {
  for (const fault of ["unavailable", "replyLost"] as const) {
    for (const way of ["run", "batch"] as const) {
      test(`makes the publish reject, and its message stays out of a later rollback (${fault}, ${way})`, async () => {
        const w = memoryWorld(way);
        let found: unknown;
        const { ordered } = w.shop(async (c) => {
          const { tx } = c.var;
          await freeSeat(tx, "kept before");
          w.main.fail(fault);
          found = await errorOf(freeSeat(tx, "refused"));
          if (c.req.header("more") !== undefined) await freeSeat(tx, "kept after");
          return c.text("no", 409);
        });
        await ordered();
        expect(found).toMatchObject({ name: "UnavailableError", code: "ERR_DATABASE_UNAVAILABLE", retryable: true });
        expect(freed(w)).toEqual(["kept before"]);
        await ordered({ headers: { more: "yes" } });
        expect(freed(w)).toEqual(["kept before", "kept before", "kept after"]);
      });

      test(`is no reason for a compensation where it was the only one (${fault}, ${way})`, async () => {
        const w = memoryWorld(way);
        w.main.fail(fault);
        const { ordered } = w.shop(async (c) => {
          await freeSeat(c.var.tx);
          return c.text("never");
        });
        expect((await ordered()).status).toBe(503);
        await recovered(w);
        expect([w.transport.calls, await w.database.reader.counts(SOURCE)]).toMatchObject([[], { unsettled: 0 }]);
      });

      test(`does not keep the transaction from being committed (${fault}, ${way})`, async () => {
        const w = memoryWorld(way);
        const { ordered } = w.shop(async (c) => {
          w.main.fail(fault);
          await errorOf(freeSeat(c.var.tx));
          await publishOrder(c.var.tx);
          await w.work(c.var.tx, ["o-1"]);
          return c.text("ok");
        });
        expect((await ordered()).status).toBe(200);
        await recovered(w);
        expect([w.keys(), w.sent()]).toEqual([["o-1"], ["order.paid"]]);
      });
    }
  }
});

describe("a request in flight while the sweeper checks", () => {
  /** A request whose COMMIT waits until the gate opens; `fails` makes it roll back then. */
  const inFlight = async (way: "run" | "batch", fails = false) => {
    const w = memoryWorld(way);
    const { passed, open } = gate();
    const held = way === "run" ? "unit.commit" : "none";
    const overrides = steps(w, async (call, name) => {
      if (name === held) await passed;
      if (name === held && fails) throw new Error("no stock");
      return call();
    });
    const { order, ac } = w.shop(async (c) => {
      const { tx } = c.var;
      await freeSeat(tx);
      await publishOrder(tx);
      await w.work(tx, ["o-1"]);
      return c.text("ok");
    }, overrides);
    const response = order();
    await settled();
    await w.age(DEADLINE);
    return { w, open, ac, response };
  };

  test("is waited for, and where that takes too long nothing is decided", async () => {
    const { w, open, ac, response } = await inFlight("run");
    const swept = w.service().ac.operator().sweep(noAudit);
    await w.clock.advance(2_000);
    await swept;
    expect(w.of("checkFailed")).toMatchObject([{ error: { code: "ERR_DATABASE_UNAVAILABLE" } }]);
    expect([w.of("decided"), w.transport.calls]).toEqual([[], []]);
    open();
    expect((await response).status).toBe(200);
    await ac.drain();
    await recovered(w);
    expect([w.keys(), w.sent()]).toEqual([["o-1"], ["order.paid"]]);
  });

  test("is found committed where it commits meanwhile: its messages go out, once", async () => {
    const { w, open, ac, response } = await inFlight("run");
    const swept = w.service().ac.operator().sweep(noAudit);
    await settled();
    open();
    await swept;
    expect((await response).status).toBe(200);
    await ac.drain();
    await recovered(w);
    expect([w.keys(), w.sent()]).toEqual([["o-1"], ["order.paid"]]);
    expect(w.of("checkFailed")).toEqual([]);
  });

  test("is rolled back by the sweeper where it rolls back meanwhile: its compensations go out, once", async () => {
    const { w, open, ac, response } = await inFlight("run", true);
    const swept = w.service().ac.operator().sweep(noAudit);
    await settled();
    open();
    await swept;
    expect((await response).status).toBe(500);
    await ac.drain();
    await recovered(w);
    expect([w.keys(), w.sent()]).toEqual([[], ["seat.freed"]]);
    expect(w.of("decided").every(({ verdict }) => verdict === "rolledBack")).toBe(true);
  });

  for (const way of ["run", "batch"] as const) {
    test(`that has not written its row yet loses against the check-back, loudly (${way})`, async () => {
      const w = memoryWorld(way);
      const { passed, open } = gate();
      const { order, ac } = w.shop(async (c) => {
        const { tx } = c.var;
        await freeSeat(tx);
        await publishOrder(tx);
        await w.work(tx, ["o-1"], () => passed);
        return c.text("ok");
      });
      const response = order();
      await settled();
      await w.age(DEADLINE);
      await w.service().ac.operator().sweep(noAudit);
      expect(w.sent()).toEqual(["seat.freed"]);
      open();
      expect((await response).status).toBe(503);
      await ac.drain();
      await recovered(w);
      expect([w.keys(), w.sent()]).toEqual([[], ["seat.freed"]]);
    });
  }

  test("whose serialization failure hides the check-back's decision is told of that decision", async () => {
    const w = memoryWorld();
    const { passed, open } = gate();
    const { order } = w.shop(async (c) => {
      const { tx } = c.var;
      await freeSeat(tx);
      await tx.run("main", async (sql: MemorySql) => {
        await passed;
        await w.main.run((other) => other.sql.put("stock", 2));
        await sql.put("stock", 1);
      });
      return c.text("ok");
    });
    const response = order();
    await settled();
    await w.age(DEADLINE);
    await w.service().ac.operator().sweep(noAudit);
    open();
    const answer = await response;
    expect([answer.status, await answer.json()]).toMatchObject([503, { error: { code: "ERR_ROLLED_BACK" } }]);
    expect(w.main.table().get("stock")).toBe(2);
  });
});
