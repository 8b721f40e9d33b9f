import { setTimeout as wait } from "node:timers/promises";
import { afterAll, describe, expect, test } from "vitest";
import { d1 } from "../../adapters/sql/index.ts";
import { databaseContract } from "../../src/testing/index.ts";
import { newDecision } from "../../src/testing/database-samples.ts";
import { AT, largeBody, sampleId, sampleRecord } from "../../src/testing/samples.ts";
import { startMiniflareD1 } from "../support/miniflare-d1.ts";
import type { D1Statement } from "../support/miniflare-d1.ts";

const server = await startMiniflareD1();
afterAll(() => server.stop());

const CREATE_TEXTS = "CREATE TABLE texts (text TEXT PRIMARY KEY)";
const INSERT_TEXT = "INSERT INTO texts (text) VALUES (?)";

async function prepared() {
  const client = server.createDatabase();
  const database = d1(client);
  const ask = async (text: string, ...values: string[]) => {
    const [result] = await client.batch([client.prepare(text).bind(...values)]);
    return result!.results;
  };
  await database.createTables();
  await ask(CREATE_TEXTS);
  return {
    client,
    database,
    ask,
    insertStatement: (text: string) => client.prepare(INSERT_TEXT).bind(text),
    texts: async () => (await ask("SELECT text FROM texts ORDER BY text")).map(({ text }) => String(text)),
  };
}

describe("D1", () => {
  databaseContract<never, D1Statement>({ test }, async () => {
    const { client, ask, ...tested } = await prepared();
    return {
      ...tested,
      other: d1(client),
      plant: async (transactionId, messages, source) => {
        await ask(
          `INSERT INTO aftercommit_barrier (transaction_id, kind, verdict, source, messages, created, due)
           VALUES (?, 'decision', 'committed', ?, ?, 0, 0)`,
          transactionId,
          source,
          messages,
        );
      },
      advance: (millis) => wait(millis),
      dispose: async () => undefined,
    };
  });
});

describe("D1, and what is its own", () => {
  test("a batch resolves to the results of the user's statements alone", async () => {
    const { client, database, insertStatement } = await prepared();
    const claim = { consumer: "receipt", messageId: "m1", token: "t1" };
    const statements = [insertStatement("a"), client.prepare("SELECT text FROM texts")];
    const outcome = await database.batch(statements, {
      consumed: { claim, retentionMillis: 60_000 },
      decision: newDecision(1),
    });
    if (outcome.status !== "committed") throw new Error(`expected it to commit, found it ${outcome.status}`);
    expect(outcome.value.map(({ results }) => results)).toEqual([[], [{ text: "a" }]]);
  });

  test("a batch of nothing commits", async () => {
    const { database } = await prepared();
    expect(await database.batch([], {})).toEqual({ status: "committed", value: [] });
  });

  test("a row of messages up to maxRowBytes fits, and keeps fitting when their fates are recorded", async () => {
    const { database } = await prepared();
    const transactionId = sampleId(1);
    const body = largeBody(database.maxRowBytes! - 20_000);
    const records = [0, 1, 2, 3].map((index) => sampleRecord({ transactionId, index, body }));
    expect((await database.batch([], { decision: newDecision(1, { records }) })).status).toBe("committed");
    const found = (await database.barrier.find([transactionId])).get(transactionId);
    if (found?.state !== "decided") throw new Error("expected a decision");
    const fate = { state: "dead", reason: "refused", detail: "x".repeat(50_000), buriedAt: AT } as const;
    const results = Object.fromEntries(records.map(({ key }) => [key, fate]));
    expect(await database.barrier.settle([{ row: found.row, results, settled: true, dueMillis: 0 }])).toEqual([true]);
  });

  test("a row that is larger than D1 takes is refused for certain, with the user's work", async () => {
    const { database, insertStatement, texts } = await prepared();
    const records = [sampleRecord({ transactionId: sampleId(1), body: largeBody(2_500_000) })];
    const outcome = await database.batch([insertStatement("a")], { decision: newDecision(1, { records }) });
    expect(outcome).toMatchObject({ status: "rolledBack", retryable: false });
    expect(await texts()).toEqual([]);
  });

  test("more transactions are found and settled at once than a statement of D1 takes values", async () => {
    const { database } = await prepared();
    const ids = Array.from({ length: 230 }, (_, n) => sampleId(n));
    for (const id of ids) await database.write({ decision: newDecision(id) });
    const found = await database.barrier.find(ids);
    expect(found.size).toBe(ids.length);
    const changes = [...found.values()].flatMap((row) =>
      row.state === "decided" ? [{ row: row.row, results: {}, settled: true, dueMillis: 0 }] : [],
    );
    expect(await database.barrier.settle(changes)).toEqual(ids.map(() => true));
  });

  test("an answer that was lost on its way leaves the outcome unknown, and one of the database is certain", async () => {
    const { client, insertStatement } = await prepared();
    const said = async (message: string) => {
      const failing = { ...client, batch: () => Promise.reject(new Error(message)) };
      return (await d1(failing).batch([insertStatement("a")], { decision: newDecision(1) })).status;
    };
    for (const message of [
      "D1_ERROR: Network connection lost.",
      "D1_ERROR: internal error; reference = 123",
      "D1_ERROR: D1 DB storage operation exceeded timeout which caused object to be reset.",
      "D1_ERROR: D1 DB reset because its code was updated.",
      "D1_ERROR: Cannot resolve D1 DB due to transient issue on remote node.",
      "D1_ERROR: database or disk is full: SQLITE_FULL",
      "fetch failed",
    ]) {
      expect([message, await said(message)]).toEqual([message, "unknown"]);
    }
    for (const message of [
      "D1_ERROR: no such column: nope at offset 7: SQLITE_ERROR",
      "D1_ERROR: CHECK constraint failed: amount > 0: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_CHECK)",
      "D1_ERROR: string or blob too big: SQLITE_TOOBIG",
      "D1_ERROR: too many SQL variables at offset 221: SQLITE_ERROR",
    ]) {
      expect([message, await said(message)]).toEqual([message, "rolledBack"]);
    }
  });

  test("an answer of a replica is refused", async () => {
    const { client } = await prepared();
    const replica = {
      ...client,
      batch: async (statements: D1Statement[]) => {
        const results = await client.batch(statements);
        return results.map((result) => ({ ...result, meta: { ...result.meta, served_by_primary: false } }));
      },
    };
    await expect(d1(replica).barrier.find([sampleId(1)])).rejects.toMatchObject({ code: "ERR_DATABASE_NOT_READY" });
  });

  test("the binding itself and a session of it serve alike", async () => {
    const binding = await server.createBinding();
    await d1(binding).createTables();
    await binding.prepare(CREATE_TEXTS).run();
    const insert = binding.prepare(INSERT_TEXT);
    const decision = newDecision(1);
    expect((await d1(binding).batch([insert.bind("a")], { decision })).status).toBe("committed");
    const session = d1(binding.withSession("first-primary"));
    expect((await session.batch([insert.bind("b")], { decision: newDecision(2) })).status).toBe("committed");
    expect((await session.batch([insert.bind("c")], { decision: newDecision(1) })).status).toBe("unknown");
    expect((await session.batch([insert.bind("a")], { decision: newDecision(3) })).status).toBe("rolledBack");
    const { results } = await binding.prepare("SELECT text FROM texts ORDER BY text").all();
    expect(results).toEqual([{ text: "a" }, { text: "b" }]);
    expect((await session.barrier.find([1, 2, 3].map(sampleId))).size).toBe(2);
  });

  test("interactive transactions are a type error", async () => {
    const { database } = await prepared();
    // @ts-expect-error: D1 has none.
    expect(() => database.run(async () => undefined)).toThrow(TypeError);
  });

  test("a database without the tables is not ready, and says what to run", async () => {
    const client = server.createDatabase();
    const database = d1(client);
    const error = (await database.verify().catch((thrown: unknown) => thrown)) as { code: string; sql: string };
    expect(error.code).toBe("ERR_DATABASE_NOT_READY");
    const statements = error.sql.split(";\n").filter((text) => text.trim() !== "");
    await client.batch(statements.map((text) => client.prepare(text)));
    await database.verify();
  });
});
