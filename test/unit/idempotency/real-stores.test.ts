import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createPool } from "mysql2/promise";
import type { PoolConnection } from "mysql2/promise";
import { Pool } from "pg";
import type { PoolClient } from "pg";
import { createClient } from "redis";
import { afterAll, describe, expect, test } from "vitest";
import type { AftercommitOptions } from "aftercommit";
import { idempotencyKey } from "aftercommit/idempotency";
import { redis } from "aftercommit/redis";
import { mysql2, nodePostgres, nodeSqlite, schemaOf } from "aftercommit/sql";
import type { SqlDatabase } from "aftercommit/sql";
import type { Inbox, InboxReader } from "../../../src/ports/inbox.ts";
import { systemClock } from "../../../src/system/clock.ts";
import { webCrypto } from "../../../src/system/crypto.ts";
import { startMariadbServer } from "../../support/mariadb-server.ts";
import { startPostgresServer } from "../../support/postgres-server.ts";
import { startRedisServer } from "../../support/redis-server.ts";
import { wait } from "../../support/redis-store-under-test.ts";
import { orderPaid, world } from "../../support/world.ts";
import { KEY } from "./keyed-shop.ts";

const [server, postgres, mariadb] = await Promise.all([
  startRedisServer(),
  startPostgresServer(),
  startMariadbServer(),
]);
const client = createClient({ url: `redis://127.0.0.1:${server?.port ?? 0}` });
const directory = mkdtempSync(join(tmpdir(), "aftercommit-idempotency-"));
if (server !== undefined) await client.connect();

afterAll(async () => {
  if (client.isOpen) client.destroy();
  for (const pool of pools) await pool.end();
  await Promise.all([server?.stop(), postgres?.stop(), mariadb?.stop()]);
  rmSync(directory, { recursive: true });
});

const LEASE_MILLIS = 1_500;

/** What is to be ended with the tests. */
const pools: { end(): Promise<void> }[] = [];

/** One process of a service. */
interface Shop {
  ask(body?: string): Promise<Response>;
  /** The transactions in which orders were written, by any process. */
  effects(): readonly string[] | Promise<readonly string[]>;
  runs: number;
  /** What the handler awaits before its work. */
  before: () => Promise<unknown>;
}

/** What one kind of store needs of a shop; `mayRenew` false is a process whose renewals do not arrive. */
type Open = (name: string, mayRenew?: boolean) => Promise<Shop>;

type AnyInbox = Inbox & InboxReader;
const silent = <Kind extends AnyInbox>(inbox: Kind, mayRenew: boolean): Kind =>
  mayRenew ? inbox : { ...inbox, renew: () => Promise.reject(new Error("out of reach")) };

function open(
  options: Partial<AftercommitOptions>,
  level: { readonly database?: string; readonly check?: string },
  work: (tx: { readonly id: string; readonly run: unknown }) => Promise<unknown>,
  effects: Shop["effects"],
): Shop {
  // Real time and chance, and leases that end soon.
  const soon = {
    clock: systemClock,
    crypto: webCrypto,
    consumers: { lease: LEASE_MILLIS, renewEvery: LEASE_MILLIS / 4 },
  };
  const { ac, app } = world().service({ ...soon, ...options });
  app.onError((_error, c) => c.json({}, 500));
  app.post("/orders", idempotencyKey(ac, { scope: () => "anna", required: true, ...level }), async (c) => {
    shop.runs++;
    await c.var.tx.publish(orderPaid, { orderId: "1" });
    await shop.before();
    await work(c.var.tx);
    return c.json({ id: c.var.tx.id }, 201);
  });
  const shop: Shop = {
    ask: async (body = "one order") =>
      app.request("/orders", { method: "POST", headers: { "idempotency-key": KEY }, body }),
    effects,
    runs: 0,
    before: async () => undefined,
  };
  return shop;
}

const written = new Map<string, string[]>();

/** Log and inbox are one Redis; the business data are elsewhere. */
const inRedis =
  (shards: number): Open =>
  async (name, mayRenew = true) => {
    const namespace = `${name}-${shards}`;
    const effects = written.get(namespace) ?? [];
    written.set(namespace, effects);
    const store = redis(client, { namespace, shards });
    return open(
      {
        log: { ...store, inbox: silent(store.inbox, mayRenew) },
        checks: { order: (id) => (effects.includes(id) ? "committed" : "rolledBack") },
      },
      { check: "order" },
      async (tx) => effects.push(tx.id),
      () => effects,
    );
  };

/** Everything is in one file. */
const inSqlite: Open = async (name, mayRenew = true) => {
  const connection = new DatabaseSync(join(directory, name));
  connection.exec("pragma journal_mode = wal; pragma busy_timeout = 5000");
  connection.exec(`${schemaOf("sqlite")}; create table if not exists orders (id text primary key)`);
  const main = nodeSqlite(connection);
  return inDatabase(
    main,
    mayRenew,
    async (sql: DatabaseSync, id) => sql.prepare("insert into orders (id) values (?)").run(id),
    () =>
      connection
        .prepare("select id from orders")
        .all()
        .map(({ id }) => String(id)),
  );
};

const addresses = new Map<string, Promise<unknown>>();

/** One database for all shops of a name. */
function addressOf<Address>(name: string, create: () => Promise<Address>): Promise<Address> {
  const found = (addresses.get(name) as Promise<Address> | undefined) ?? create();
  addresses.set(name, found);
  return found;
}

const inPostgres: Open = async (name, mayRenew = true) => {
  const pool = new Pool({ connectionString: await addressOf(`pg ${name}`, () => postgres!.createDatabase()) });
  pools.push(pool);
  const main = nodePostgres(pool);
  await main.createTables();
  await pool.query("create table if not exists orders (id text primary key)").catch(() => undefined);
  return inDatabase(
    main,
    mayRenew,
    (sql: PoolClient, id) => sql.query("insert into orders (id) values ($1)", [id]),
    async () => (await pool.query<{ id: string }>("select id from orders")).rows.map(({ id }) => id),
  );
};

const inMariadb: Open = async (name, mayRenew = true) => {
  const pool = createPool({ ...(await addressOf(`mysql ${name}`, () => mariadb!.createDatabase())) });
  pools.push(pool);
  const main = mysql2(pool);
  await main.createTables();
  await pool.query("create table if not exists orders (id varchar(64) primary key)");
  return inDatabase(
    main,
    mayRenew,
    (sql: PoolConnection, id) => sql.query("insert into orders (id) values (?)", [id]),
    async () => ((await pool.query("select id from orders"))[0] as { id: string }[]).map(({ id }) => id),
  );
};

function inDatabase<Sql>(
  main: SqlDatabase<Sql, never, never>,
  mayRenew: boolean,
  insert: (sql: Sql, id: string) => Promise<unknown>,
  effects: Shop["effects"],
): Shop {
  return open(
    { log: undefined, databases: { main: { ...main, inbox: silent(main.inbox, mayRenew) } as never } },
    { database: "main" },
    (tx) =>
      (tx.run as (name: string, work: (sql: Sql) => Promise<unknown>) => Promise<unknown>)("main", (sql) =>
        insert(sql, tx.id),
      ),
    effects,
  );
}

describe.each([
  ["Redis", inRedis(1), server === undefined],
  ["Redis with four shards", inRedis(4), server === undefined],
  ["a SQLite file", inSqlite, false],
  ["PostgreSQL", inPostgres, postgres === undefined],
  ["MariaDB", inMariadb, mariadb === undefined],
] as const)("a key in %s", (place, make, skipped) => {
  test.skipIf(skipped)("is done once by all processes that are asked at once, and answered again by any", async () => {
    const [one, two] = [await make("at-once"), await make("at-once")];
    const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => (i % 2 === 0 ? one : two).ask()));
    expect(answers.map(({ status }) => status).filter((status) => status !== 201)).toEqual(
      answers.flatMap(({ status }) => (status === 201 ? [] : [409])),
    );
    expect(one.runs + two.runs).toBe(1);
    const again = await two.ask();
    expect([again.status, again.headers.get("idempotency-replayed")]).toEqual([201, "true"]);
    expect([((await again.json()) as { id: string }).id]).toEqual(await one.effects());
    expect((await one.ask("another order")).status).toBe(422);
  });

  test.skipIf(skipped)("is held for as long as its handler runs", async () => {
    const [slow, other] = [await make("held"), await make("held")];
    let go = (): void => undefined;
    slow.before = () => new Promise<void>((resolve) => (go = resolve));
    const first = slow.ask();
    await expect.poll(() => slow.runs, { timeout: 10_000 }).toBe(1);
    await wait(2 * LEASE_MILLIS);
    expect((await other.ask()).status).toBe(409);
    go();
    expect((await first).status).toBe(201);
    expect((await other.ask()).headers.get("idempotency-replayed")).toBe("true");
    expect(other.runs).toBe(0);
  });

  test.skipIf(skipped)("of a process that stands still is taken over once its lease has lapsed", async () => {
    const [still, other] = [await make("still", false), await make("still")];
    let go = (): void => undefined;
    still.before = () => new Promise<void>((resolve) => (go = resolve));
    const late = still.ask();
    await expect.poll(() => still.runs, { timeout: 10_000 }).toBe(1);
    expect((await other.ask()).status).toBe(409);
    await expect.poll(async () => (await other.ask()).status, { timeout: 20_000, interval: 200 }).toBe(201);
    expect(other.runs).toBe(1);
    expect(await other.effects()).toHaveLength(1);
    const again = await other.ask();
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    if (place.startsWith("Redis")) return;
    go();
    expect((await late).status).toBe(500);
    expect(await other.effects()).toEqual([((await again.json()) as { id: string }).id]);
  });
});
