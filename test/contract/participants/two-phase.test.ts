import { PGlite } from "@electric-sql/pglite";
import { Hono } from "hono";
import { Pool } from "pg";
import type { PoolClient } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod/mini";
import { aftercommit } from "aftercommit";
import { memoryReceiver, memoryStore } from "aftercommit/memory";
import { nodePostgres, pglite } from "../../../adapters/sql/index.ts";
import { twoPhase } from "../../../adapters/sql/two-phase/index.ts";
import type { TwoPhase, TwoPhaseClientLike } from "../../../adapters/sql/two-phase/index.ts";
import { directCalls, participant, participantRoutes, RefusedError } from "../../../src/patterns/index.ts";
import { parseWebhookSecret, signWebhook } from "../../../src/patterns/webhook-signature.ts";
import { webCrypto } from "../../../src/system/crypto.ts";
import { startPostgresServer } from "../../support/postgres-server.ts";
import { newBranch, SECRET } from "./participant-under-test.ts";
import type { Kind } from "./participant-under-test.ts";
import { expected, LENGTH, sequences } from "./suite.ts";

const URL = "https://ledger.example.com/participants/ledger";
const bookLedger = participant("ledger.book", { schema: z.object({ text: z.string() }) });

const server = await startPostgresServer({ max_prepared_transactions: "40" });
const pools: Pool[] = [];
afterAll(async () => {
  for (const pool of pools) await pool.end();
  await server?.stop();
});

/** A ledger whose entries are prepared. */
interface Ledger {
  readonly ledger: TwoPhase<TwoPhaseClientLike>;
  /** Called in the transaction, after its entry. */
  hook: (sql: TwoPhaseClientLike) => unknown;
  act(kind: Kind, branch: string): Promise<number>;
  /** The entries that others see. */
  entries(): Promise<readonly string[]>;
  ask(text: string): Promise<readonly unknown[]>;
}

async function ledgerOn(
  pool: { connect(): Promise<TwoPhaseClientLike> },
  ask: Ledger["ask"],
  options: { readonly maxPrepared?: number } = {},
  during: { hook: Ledger["hook"] } = { hook: () => undefined },
): Promise<Ledger> {
  const ledger = twoPhase(pool, { name: bookLedger.name, ...options });
  const receiver = memoryReceiver();
  const calls = directCalls({ secrets: [SECRET] });
  const ac = aftercommit({
    publicUrl: "https://ledger.example.com",
    receiver,
    inbox: memoryStore().inbox,
    calls,
    observer: { event: () => undefined },
  });
  const app = new Hono();
  app.route(
    "/participants/ledger",
    participantRoutes(
      ac,
      bookLedger,
      ledger.handlers(async (sql, branch) => {
        await sql.query("INSERT INTO entries (text) VALUES ($1)", [branch.id]);
        await during.hook(sql);
      }),
    ),
  );
  return {
    ledger,
    ask,
    hook: during.hook,
    entries: async () => ((await ask("SELECT text FROM entries")) as { text: string }[]).map(({ text }) => text),
    async act(kind, branch) {
      const now = Date.now();
      const facts = { transaction: branch.slice(0, branch.indexOf("_")), branch, at: now, data: { text: "a" } };
      if (kind === "try") {
        const to = `${URL}/try`;
        const body = JSON.stringify({ v: 1, participant: bookLedger.name, to, source: "s", ...facts });
        const headers = await signWebhook(webCrypto, parseWebhookSecret(SECRET)!, { id: branch, at: now, body });
        return (await app.request(to, { method: "POST", body, headers })).status;
      }
      const url = `${URL}/${kind}`;
      const at = new Date(now).toISOString();
      const body = JSON.stringify({
        specversion: "1.0",
        id: `${branch}-${kind}`,
        source: "s",
        type: `${bookLedger.name}.${kind}`,
        time: at,
        decidedat: at,
        datacontenttype: "application/json",
        transactionid: facts.transaction,
        messageindex: 0,
        data: facts,
      });
      return (await app.request(url, { method: "POST", body, headers: await receiver.sign(url, body) })).status;
    },
  };
}

interface PostgresLedger extends Ledger {
  readonly pool: Pool;
  /** Whether the answer to a statement is lost on its way. */
  loseReply: (text: string) => boolean;
}

async function onPostgres(options: { readonly maxPrepared?: number } = {}): Promise<PostgresLedger> {
  const pool = new Pool({ connectionString: await server!.createDatabase() });
  pool.on("error", () => undefined);
  pools.push(pool);
  await nodePostgres(pool).createTables();
  await pool.query("CREATE TABLE entries (text text PRIMARY KEY)");
  const line = { loseReply: (_text: string): boolean => false, hook: (() => undefined) as Ledger["hook"] };
  const connect = async (): Promise<TwoPhaseClientLike> => {
    const client: PoolClient = await pool.connect();
    return {
      async query(text, values) {
        const { command, rows } = await client.query<Record<string, unknown>>(text, values);
        if (line.loseReply(text)) throw new Error("Connection terminated unexpectedly");
        return { command, rows };
      },
      release: (error) => client.release(error),
    };
  };
  const made = await ledgerOn(
    { connect },
    async (text) => (await pool.query<Record<string, unknown>>(text)).rows,
    options,
    line,
  );
  return Object.assign(line, made, { pool });
}

/** Every order comes to what it must; its effect is there where it was confirmed, and nothing stays prepared that has ended. */
async function everyOrder(l: Ledger, length: number): Promise<void> {
  for (const sequence of sequences(length)) {
    const branch = newBranch();
    const statuses: number[] = [];
    for (const kind of sequence) statuses.push(await l.act(kind, branch));
    const right = expected(sequence);
    expect(statuses, sequence.join()).toEqual(right.statuses);
    expect((await l.entries()).includes(branch), sequence.join()).toBe(right.effects.includes("confirm"));
    const waits = right.effects.includes("try") && right.effects.length === 1;
    const inDoubt = await l.ledger.inDoubt({ olderThan: 0 });
    expect(
      inDoubt.map(({ branchId }) => branchId),
      sequence.join(),
    ).toEqual(waits ? [branch] : []);
    if (waits) await l.act("cancel", branch);
  }
}

describe.skipIf(server === undefined)("a two-phase participant on PostgreSQL", () => {
  test(`every order of try, confirm and cancel up to ${LENGTH} of them comes to what it must`, async () => {
    await everyOrder(await onPostgres(), LENGTH);
  }, 120_000);

  test("what is prepared outlives the server, killed and started again, and can still go either way", async () => {
    const l = await onPostgres();
    const [one, other] = [newBranch(), newBranch()];
    await l.act("try", one);
    await l.act("try", other);
    await server!.crash();
    expect((await l.ledger.inDoubt({ olderThan: 0 })).map(({ branchId }) => branchId)).toEqual([one, other]);
    expect([await l.act("confirm", one), await l.act("cancel", other)]).toEqual([200, 200]);
    expect(await l.entries()).toEqual([one]);
  });

  test("a try whose answer was lost after it was prepared is done when it is asked for again", async () => {
    const l = await onPostgres();
    const branch = newBranch();
    let lost = false;
    l.loseReply = (text) => !lost && (lost = text.startsWith("PREPARE TRANSACTION"));
    expect(await l.act("try", branch)).toBe(500);
    expect(lost).toBe(true);
    expect(await l.act("try", branch)).toBe(200);
    expect(await l.act("confirm", branch)).toBe(200);
    expect(await l.entries()).toEqual([branch]);
  });

  test("a try that is cut off and goes on after its cancel cannot prepare any more", async () => {
    const l = await onPostgres();
    const branch = newBranch();
    const late = twoPhase({ connect: () => l.pool.connect() as never }, { name: bookLedger.name });
    await l.ledger.resolve(branch, "rollback");
    const again = late.handlers(async (sql: TwoPhaseClientLike) =>
      sql.query("INSERT INTO entries (text) VALUES ('late')"),
    );
    await expect(again.try({ id: branch })).rejects.toMatchObject({ code: "ERR_FATAL" });
    expect([await l.entries(), await l.ledger.inDoubt({ olderThan: 0 })]).toEqual([[], []]);
  });

  test("a cancel that meets a try in the middle of its work asks to come again, and then rolls back what it prepared", async () => {
    const l = await onPostgres();
    const branch = newBranch();
    let release!: () => void;
    const held = new Promise<void>((resolve) => (release = resolve));
    const inside = new Promise<void>((resolve) => {
      l.hook = () => {
        resolve();
        return held;
      };
    });
    const handlers = l.ledger.handlers(async (sql: TwoPhaseClientLike) => {
      await sql.query("INSERT INTO entries (text) VALUES ('x')");
      await l.hook(sql);
    });
    const trying = handlers.try({ id: branch });
    await inside;
    await expect(handlers.cancel({ id: branch })).rejects.toMatchObject({ code: "ERR_RETRYABLE" });
    release();
    await trying;
    await handlers.cancel({ id: branch });
    expect([await l.entries(), await l.ledger.inDoubt({ olderThan: 0 })]).toEqual([[], []]);
  });

  test("a refusal, and an error that the work swallows, prepare nothing", async () => {
    const l = await onPostgres();
    const [refused, swallowed] = [newBranch(), newBranch()];
    l.hook = () => {
      throw new RefusedError("no");
    };
    expect(await l.act("try", refused)).toBe(409);
    l.hook = (sql) => sql.query("SELECT 1 / 0").catch(() => undefined);
    expect(await l.act("try", swallowed)).toBe(500);
    expect([await l.entries(), await l.ledger.inDoubt({ olderThan: 0 })]).toEqual([[], []]);
  });

  test("confirms and cancels at once go one way", async () => {
    const l = await onPostgres();
    for (let round = 0; round < 10; round++) {
      const branch = newBranch();
      const { confirm, cancel, ...handlers } = l.ledger.handlers((sql: TwoPhaseClientLike) =>
        sql.query("INSERT INTO entries (text) VALUES ($1)", [branch]),
      );
      await handlers.try({ id: branch });
      const persist = async (act: () => Promise<void>): Promise<boolean> => {
        for (;;) {
          try {
            await act();
            return true;
          } catch (error) {
            if ((error as { code?: string }).code === "ERR_FATAL") return false;
          }
        }
      };
      const ended = await Promise.all([
        persist(() => confirm({ id: branch })),
        persist(() => cancel({ id: branch })),
        persist(() => confirm({ id: branch })),
      ]);
      const committed = (await l.entries()).includes(branch);
      expect(ended).toEqual(committed ? [true, false, true] : [false, true, false]);
    }
  });

  test("holds its locks while it is in doubt, which is told with its age, and no more than a bound at a time", async () => {
    const l = await onPostgres({ maxPrepared: 2 });
    const branches = [newBranch(), newBranch(), newBranch()] as const;
    await l.act("try", branches[0]);
    await l.act("try", branches[1]);
    expect(await l.act("try", branches[2])).toBe(500);
    const client = await l.pool.connect();
    await client.query("SET lock_timeout = 100");
    await expect(client.query("INSERT INTO entries (text) VALUES ($1)", [branches[0]])).rejects.toMatchObject({
      code: "55P03",
    });
    client.release(true);
    expect(await l.ledger.inDoubt({ olderThan: "1h" })).toEqual([]);
    const [oldest] = await l.ledger.inDoubt({ olderThan: 0 });
    expect(oldest).toMatchObject({ branchId: branches[0], gid: `aftercommit/ledger.book/${branches[0]}` });
    expect(oldest!.ageMillis).toBeGreaterThanOrEqual(0);
    await l.ledger.resolve(branches[0], "commit");
    expect(await l.act("try", branches[2])).toBe(200);
    await l.ledger.resolve(branches[0], "commit");
    await expect(l.ledger.resolve(branches[0], "rollback")).rejects.toMatchObject({ code: "ERR_FATAL" });
    await expect(l.ledger.resolve(newBranch(), "commit")).rejects.toMatchObject({ code: "ERR_FATAL" });
    for (const branch of branches.slice(1)) await l.act("cancel", branch);
  });

  test("says what to run where the server takes no prepared transactions", async () => {
    const plain = await startPostgresServer();
    const pool = new Pool({ connectionString: await plain!.createDatabase() });
    const ledger = twoPhase({ connect: () => pool.connect() as never }, { name: "l" });
    await expect(ledger.verify()).rejects.toMatchObject({
      code: "ERR_DATABASE_NOT_READY",
      sql: expect.stringContaining("max_prepared_transactions") as string,
    });
    await pool.end();
    await plain!.stop();
    await (await onPostgres()).ledger.verify();
  });

  test("takes a name that fits PostgreSQL's own names, and nothing that would need quoting", () => {
    const pool = { connect: () => Promise.reject(new Error("unused")) };
    for (const name of ["", "a'b", "a/b", "x".repeat(128)])
      expect(() => twoPhase(pool, { name })).toThrow(expect.objectContaining({ code: "ERR_CONFIGURATION" }));
    expect(() => twoPhase(pool, { name: "x".repeat(116) })).not.toThrow();
  });
});

describe("a two-phase participant on PGlite", () => {
  let client: PGlite;
  beforeAll(async () => {
    client = await PGlite.create({ postgresqlconf: ["max_prepared_transactions = 10"] });
  }, 60_000);
  afterAll(() => client.close());

  test("every order of try, confirm and cancel up to 3 of them comes to what it must", async () => {
    await pglite(client).createTables();
    await client.exec("CREATE TABLE entries (text text PRIMARY KEY)");
    // One connection: its users take turns.
    let turn: Promise<unknown> = Promise.resolve();
    const connect = (): Promise<TwoPhaseClientLike> => {
      let release!: () => void;
      const mine = turn.then(() => ({
        query: async (text: string, values: unknown[] = []) => {
          const { rows } = await client.query(text, values);
          return { command: "", rows };
        },
        release: () => release(),
      }));
      turn = mine.then(() => new Promise<void>((resolve) => (release = resolve)));
      return mine;
    };
    const l = await ledgerOn({ connect }, async (text) => (await client.query(text)).rows);
    await everyOrder(l, 3);
  }, 60_000);
});
