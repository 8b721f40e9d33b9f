import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { memoryDatabase, MemoryDatabaseError } from "../../src/memory/index.ts";
import type { MemoryDatabase, MemorySql, MemoryStatement } from "../../src/memory/index.ts";
import { databaseContract, simulatedClock } from "../../src/testing/index.ts";
import { newDecision, newIntent, signal, SOURCE } from "../../src/testing/database-samples.ts";
import { AT, LONG, sampleId } from "../../src/testing/samples.ts";

const underTest = (database: MemoryDatabase, advance: (millis: number) => Promise<void>) => ({
  database,
  other: database,
  concurrent: true,
  insert: (sql: MemorySql, text: string) => sql.insert(text, text),
  insertStatement: (text: string): MemoryStatement => {
    return (sql) => sql.insert(text, text);
  },
  texts: async () => [...database.table().keys()].sort(),
  advance,
  dispose: async () => {},
});

describe("the memory database on a simulated clock", () => {
  databaseContract({ test }, async () => {
    const clock = simulatedClock();
    return underTest(memoryDatabase({ clock }), (millis) => clock.advance(millis));
  });
});

describe("the memory database on the system's clock, with a latency", () => {
  databaseContract({ test }, async () => underTest(memoryDatabase({ latencyMillis: 1 }), (millis) => wait(millis)));
});

describe("the memory database isolates transactions", () => {
  test("a transaction sees what was committed when it began, and its own writes", async () => {
    const database = memoryDatabase();
    await database.batch([(sql) => sql.put("a", 1), (sql) => sql.put("b", 1)], {});
    const seen: unknown[] = [];
    await database.run(async ({ sql }) => {
      await database.batch(
        [(other) => other.put("a", 2), (other) => other.delete("b"), (other) => other.put("c", 2)],
        {},
      );
      await sql.put("d", 3);
      seen.push(await sql.get("a"), await sql.entries());
    });
    expect(seen).toEqual([
      1,
      [
        ["a", 1],
        ["b", 1],
        ["d", 3],
      ],
    ]);
  });

  test("of two transactions that each read what the other writes, one commits and one is to be tried again", async () => {
    const database = memoryDatabase();
    await database.batch([(sql) => sql.put("on call", ["ada", "ben"])], {});
    const both = signal();
    let reading = 0;
    const leave = (name: string) =>
      database.run(async ({ sql }) => {
        const onCall = (await sql.entries()).length;
        if (++reading === 2) both.give();
        await both.given;
        await sql.put(`leave of ${name}`, onCall);
      });
    const outcomes = await Promise.all([leave("ada"), leave("ben")]);
    expect(outcomes).toMatchObject([{ status: "committed" }, { status: "rolledBack", retryable: true }]);
    expect(database.table().size).toBe(2);
  });

  test("a write that meets another transaction's is told at once to be tried again", async () => {
    const database = memoryDatabase();
    const outcome = await database.run(async ({ sql }) => {
      await sql.put("stock", 1);
      const other = await database.run((unit) => unit.sql.put("stock", 2));
      expect(other).toMatchObject({ status: "rolledBack", retryable: true });
    });
    expect([outcome.status, database.table().get("stock")]).toEqual(["committed", 1]);
  });

  test("a write that loses an update is told to be tried again", async () => {
    const database = memoryDatabase();
    const outcome = await database.run(async ({ sql }) => {
      await database.run((unit) => unit.sql.put("stock", 2));
      await sql.put("stock", 1);
    });
    expect(outcome).toMatchObject({ status: "rolledBack", retryable: true });
    expect(database.table().get("stock")).toBe(2);
  });

  test("an insert waits for the open transaction that has written its key, and fails only where that commits", async () => {
    const database = memoryDatabase();
    const ends = signal();
    const first = database.run(async ({ sql }) => {
      await sql.insert("a", 1);
      await sql.insert("b", 1);
      await ends.given;
    });
    const failing = database.run(async ({ sql }) => {
      await sql.insert("c", 1);
      await ends.given;
      throw new Error("no stock");
    });
    const second = database.run(({ sql }) => sql.insert("a", 2));
    const third = database.run(({ sql }) => sql.insert("c", 3));
    ends.give();
    expect((await failing).status).toBe("rolledBack");
    expect([await first, await third].map(({ status }) => status)).toEqual(["committed", "committed"]);
    expect(await second).toMatchObject({ status: "rolledBack", retryable: false, error: { reason: "unique" } });
    expect(database.table()).toEqual(new Map(Object.entries({ a: 1, b: 1, c: 3 })));
  });

  test("of transactions that wait for each other, one is told to be tried again and the other commits", async () => {
    const database = memoryDatabase();
    const both = signal();
    let begun = 0;
    const insert = (first: string, second: string) =>
      database.run(async ({ sql }) => {
        await sql.insert(first, 1);
        if (++begun === 2) both.give();
        await both.given;
        await sql.insert(second, 1);
      });
    const outcomes = await Promise.all([insert("a", "b"), insert("b", "a")]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["committed", "rolledBack"]);
    expect(outcomes.find(({ status }) => status === "rolledBack")).toMatchObject({ retryable: true });
  });

  test("a check-back waits for a commit on its way for a little, and is told its decision", async () => {
    const clock = simulatedClock();
    const database = memoryDatabase({ clock });
    await database.barrier.intend(newIntent(1));
    const ends = signal();
    const running = database.run(async (unit) => {
      await unit.decide(newDecision(1));
      await ends.given;
    });
    const impatient = database.barrier.rollBack(sampleId(1), AT, 0);
    const refused = expect(impatient).rejects.toThrow(MemoryDatabaseError);
    await clock.advance(1_000);
    const patient = database.barrier.rollBack(sampleId(1), AT, 0);
    await clock.advance(1_500);
    await refused;
    ends.give();
    expect((await running).status).toBe("committed");
    expect(await patient).toMatchObject({ verdict: "committed" });
    expect(clock.sleepers).toBe(0);
  });

  test("a statement after the end of its transaction is refused", async () => {
    const database = memoryDatabase();
    let kept: MemorySql | undefined;
    await database.run(async ({ sql }) => {
      kept = sql;
    });
    await expect(kept!.put("a", 1)).rejects.toThrow(MemoryDatabaseError);
    expect(database.table().size).toBe(0);
  });

  test("values are copies: what is done to them outside changes no row", async () => {
    const database = memoryDatabase();
    const order = { items: ["book"] };
    await database.run(async ({ sql }) => {
      await sql.put("order", order);
      order.items.push("pen");
      ((await sql.get("order")) as typeof order).items.push("cup");
    });
    (database.table().get("order") as typeof order).items.push("hat");
    expect(database.table().get("order")).toEqual({ items: ["book"] });
  });
});

describe("the memory database fails as it is told", () => {
  const commit = (database: MemoryDatabase) =>
    database.run(async (unit) => {
      await unit.sql.insert("a", 1);
      await unit.decide(newDecision(1));
    });
  const batch = (database: MemoryDatabase) =>
    database.batch([(sql) => sql.insert("a", 1)], { decision: newDecision(1) });
  const standing = async (database: MemoryDatabase) => [
    database.table().size,
    (await database.reader.counts(SOURCE)).decisions,
  ];

  test.each([
    ["unavailable", "run", { status: "rolledBack", retryable: false }, [0, 0]],
    ["begin", "run", { status: "rolledBack", retryable: false }, [0, 0]],
    ["statement", "run", { status: "rolledBack", retryable: false }, [0, 0]],
    ["commit", "run", { status: "rolledBack", retryable: true }, [0, 0]],
    ["commitLost", "run", { status: "unknown" }, [0, 0]],
    ["commitReplyLost", "run", { status: "unknown" }, [1, 1]],
    ["unavailable", "batch", { status: "unknown" }, [0, 0]],
    ["begin", "batch", { status: "rolledBack", retryable: false }, [0, 0]],
    ["statement", "batch", { status: "rolledBack", retryable: false }, [0, 0]],
    ["commit", "batch", { status: "rolledBack", retryable: true }, [0, 0]],
    ["commitLost", "batch", { status: "unknown" }, [0, 0]],
    ["commitReplyLost", "batch", { status: "unknown" }, [1, 1]],
  ] as const)("a %s fault: a %s tells %j, and leaves %j rows", async (fault, way, outcome, rows) => {
    const act = way === "run" ? commit : batch;
    const database = memoryDatabase();
    database.fail(fault);
    expect(await act(database)).toMatchObject({ ...outcome, error: expect.any(MemoryDatabaseError) });
    expect(await standing(database)).toEqual(rows);
    const again = await act(database);
    expect(again.status).toBe(rows[0] === 0 ? "committed" : "rolledBack");
  });

  test("a statement that failed breaks its transaction, even where the work swallows that", async () => {
    const database = memoryDatabase();
    database.fail("statement");
    const outcome = await database.run(async ({ sql }) => {
      await sql.put("a", 1).catch(() => undefined);
    });
    expect(outcome.status).toBe("rolledBack");
  });

  test("an operation of ours whose reply is lost is done", async () => {
    const database = memoryDatabase();
    database.fail("replyLost");
    await expect(database.barrier.intend(newIntent(1))).rejects.toThrow(MemoryDatabaseError);
    expect((await database.barrier.find([sampleId(1)])).size).toBe(1);
    database.fail("unavailable");
    await expect(database.barrier.rollBack(sampleId(1), AT, 0)).rejects.toThrow(MemoryDatabaseError);
    expect((await database.barrier.find([sampleId(1)])).get(sampleId(1))?.state).toBe("intended");
  });

  test("an outage lasts until it is mended", async () => {
    const database = memoryDatabase();
    const mend = database.fail("unavailable", { times: Infinity });
    for (let n = 0; n < 3; n++) await expect(database.verify()).rejects.toThrow("does not answer");
    mend();
    await database.verify();
  });

  test("a fault that is meant for other calls waits for them", async () => {
    const database = memoryDatabase();
    database.fail("commitReplyLost");
    await database.barrier.intend(newIntent(1));
    expect((await commit(database)).status).toBe("unknown");
  });
});

describe("the memory database takes its time", () => {
  test("each call takes the latency: begin, statements, ours among them, and COMMIT; a batch is one call", async () => {
    const clock = simulatedClock();
    const database = memoryDatabase({ clock, latencyMillis: 10 });
    const took = async (act: Promise<unknown>): Promise<number> => {
      const start = clock.now();
      let end = 0;
      void act.then(() => (end = clock.now()));
      await clock.advance(1_000);
      return end - start;
    };
    expect(await took(database.run(async () => {}))).toBe(20);
    expect(await took(database.run(({ sql }) => sql.put("a", 1)))).toBe(30);
    expect(
      await took(
        database.run(async (unit) => {
          await unit.sql.put("a", 1);
          await unit.decide(newDecision(1));
        }),
      ),
    ).toBe(40);
    expect(await took(database.batch([(sql) => sql.put("a", 1)], { decision: newDecision(2) }))).toBe(10);
    expect(await took(database.write({ decision: newDecision(3) }))).toBe(10);
    expect(await took(database.barrier.rollBack(sampleId(1), AT, 0))).toBe(10);
    expect(await took(database.inbox.claim({ consumer: "receipt", messageId: "m1", token: "t" }, LONG))).toBe(10);
  });
});

describe("the memory database goes back", () => {
  test("a snapshot that went through JSON brings back everything that was committed", async () => {
    const database = memoryDatabase();
    await database.run(async (unit) => {
      await unit.sql.put("order", { cents: 100 });
      await unit.consume({ claim: { consumer: "receipt", messageId: "m1", token: "t" }, retentionMillis: LONG });
      await unit.decide(newDecision(1));
    });
    const found = await database.barrier.find([sampleId(1)]);
    const snapshot = JSON.parse(JSON.stringify(database.snapshot())) as ReturnType<typeof database.snapshot>;
    await database.barrier.settle([{ row: rowOf(found), results: {}, settled: true, dueMillis: 0 }]);
    await database.run(({ sql }) => sql.delete("order"));
    database.restore(snapshot);
    expect(await database.barrier.find([sampleId(1)])).toEqual(found);
    expect(await database.inbox.look({ consumer: "receipt", messageId: "m1" })).toEqual({ state: "done" });
    expect(database.table().get("order")).toEqual({ cents: 100 });
  });

  test("a transaction that was open then does not commit", async () => {
    const database = memoryDatabase();
    const outcome = await database.run(async ({ sql }) => {
      await sql.put("a", 1);
      database.restore([]);
    });
    expect(outcome.status).toBe("rolledBack");
    expect(database.table().size).toBe(0);
  });
});

function rowOf(found: Awaited<ReturnType<MemoryDatabase["barrier"]["find"]>>) {
  const row = found.get(sampleId(1));
  if (row?.state !== "decided") throw new Error("expected a decision");
  return row.row;
}
