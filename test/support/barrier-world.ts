import { DatabaseSync } from "node:sqlite";
import { AftercommitError } from "aftercommit";
import type { AftercommitOptions, Transaction, TransactionOptions } from "aftercommit";
import { memoryDatabase } from "aftercommit/memory";
import type { MemoryDatabase, MemorySql, MemoryStatement } from "aftercommit/memory";
import { nodeSqlite, schemaOf } from "aftercommit/sql";
import type { DecisionRow } from "../../src/model/barrier-row.ts";
import type { FoundRow } from "../../src/ports/barrier.ts";
import type { AnyDatabase, UnitOfWork, UnitOutcome } from "../../src/ports/database.ts";
import { intercepted, PUBLIC_URL, world } from "./world.ts";
import type { RouteHandler, ServiceUnderTest, World } from "./world.ts";

/** Who the rows of a world's services belong to. */
export const SOURCE = `${PUBLIC_URL}/`;
/** After so long a sweep takes on a row that its request has left, and follows its hint. */
export const RESUME = 36_000;
/** How long after its intent an undecided transaction is looked into. */
export const DEADLINE = 120_000;
/** A store that holds nothing. */
export const EMPTY = world().store.snapshot();

/** How a transaction's business work is done: with a database that keeps transactions open, or with one that takes batches. */
export type Way = "run" | "batch";

/** A service with a route `POST /orders` that the database `main` decides. */
export interface Shop extends ServiceUnderTest {
  /** Makes a request. */
  order(init?: RequestInit): Promise<Response>;
  /** Makes a request, and waits for what goes on after its response. */
  ordered(init?: RequestInit): Promise<Response>;
}

/** A world with a business database. */
export interface BarrierWorld extends World {
  readonly database: AnyDatabase;
  readonly way: Way;
  /** Mounts `POST /orders` on a new service. */
  shop(handler: RouteHandler, overrides?: Partial<AftercommitOptions>, options?: TransactionOptions): Shop;
  /** The business work: one transaction that inserts keys; one that is there already fails. `during` comes after them. */
  work(tx: Transaction, keys: readonly string[], during?: () => unknown): Promise<unknown>;
  /** The keys that are committed. */
  keys(): readonly string[];
  /** Lets time pass, on the database's own clock too. */
  age(millis: number): Promise<void>;
  /** What is known of a transaction. */
  found(transactionId: string): Promise<FoundRow | undefined>;
  /** The decision of a transaction. */
  row(transactionId: string): Promise<DecisionRow | undefined>;
  /** The topics that the transport took, in order. */
  sent(): readonly string[];
}

/** A world whose database is in memory. */
export interface MemoryWorld extends BarrierWorld {
  readonly main: MemoryDatabase;
  /** What a process that dies leaves: its open transactions are rolled back. */
  dieOpen(): void;
  /** The ids of all decisions. */
  decisions(): readonly string[];
}

/** A world with a memory database that has `run` or `batch` alone. */
export function memoryWorld(way: Way = "run"): MemoryWorld {
  const base = world();
  const main = memoryDatabase({ clock: base.clock });
  const { run, batch, ...rest } = main;
  const database = (way === "run" ? { ...rest, run } : { ...rest, batch }) as AnyDatabase;
  return {
    ...barrierWorld(base, database, {
      way,
      keys: () => [...main.table().keys()].sort(),
      age: (millis) => base.clock.advance(millis),
      insert: (sql, key) => (sql as MemorySql).insert(key, "ordered"),
    }),
    main,
    dieOpen: () => main.restore(main.snapshot()),
    decisions: () => main.snapshot().flatMap(([key]) => (key.startsWith("decision/") ? [key.slice(9)] : [])),
  };
}

/** A world with a database of node:sqlite. */
export function sqliteWorld(): BarrierWorld {
  const base = world();
  const connection = new DatabaseSync(":memory:");
  const database = nodeSqlite(connection);
  connection.exec(`${schemaOf("sqlite")}; CREATE TABLE orders (id TEXT PRIMARY KEY)`);
  return barrierWorld(base, database, {
    way: "run",
    keys: () =>
      connection
        .prepare("SELECT id FROM orders ORDER BY id")
        .all()
        .map(({ id }) => String(id)),
    async age(millis) {
      await base.clock.advance(millis);
      // Its clock is the machine's: what is there becomes older instead.
      connection.prepare("UPDATE aftercommit_barrier SET due = due - :by, settled = settled - :by").run({ by: millis });
    },
    insert: async (sql, key) => {
      (sql as DatabaseSync).prepare("INSERT INTO orders (id) VALUES (?)").run(key);
    },
  });
}

/** Every kind of world, for what all of them must do. */
export const WORLDS: readonly (readonly [name: string, make: () => BarrierWorld])[] = [
  ["run, in memory", () => memoryWorld("run")],
  ["batch, in memory", () => memoryWorld("batch")],
  ["run, on node:sqlite", sqliteWorld],
];

interface Parts extends Pick<BarrierWorld, "way" | "keys" | "age"> {
  readonly insert: (sql: unknown, key: string) => Promise<void>;
}

function barrierWorld(base: World, database: AnyDatabase, { insert, ...parts }: Parts): BarrierWorld {
  const options: World["options"] = (overrides) => base.options({ databases: { main: database }, ...overrides });
  const service: World["service"] = (overrides) => base.service(options(overrides));
  const found: BarrierWorld["found"] = async (id) => (await database.barrier.find([id])).get(id);
  return {
    ...base,
    ...parts,
    options,
    service,
    database,
    shop(handler, overrides, transactionOptions) {
      const made = service(overrides);
      const { ac, app } = made;
      // As Hono does it, but for the word in its log.
      app.onError((error) =>
        AftercommitError.is(error) ? error.getResponse() : new Response("failed", { status: 500 }),
      );
      app.post("/orders", ac.transaction({ database: "main", ...transactionOptions }), handler);
      const order: Shop["order"] = async (init = {}) => app.request("/orders", { method: "POST", ...init });
      return {
        ...made,
        order,
        async ordered(init) {
          const response = await order(init);
          await ac.drain();
          return response;
        },
      };
    },
    work(tx, keys, during) {
      if (parts.way === "run") {
        return tx.run("main", async (sql: unknown) => {
          for (const key of keys) await insert(sql, key);
          await during?.();
        });
      }
      const statements: readonly MemoryStatement[] = keys.map((key) => (sql) => sql.insert(key, "ordered"));
      const last: MemoryStatement = async () => during?.();
      return tx.batch("main", during === undefined ? statements : [...statements, last]);
    },
    found,
    async row(id) {
      const entry = await found(id);
      return entry?.state === "decided" ? entry.row : undefined;
    },
    sent: () => base.transport.accepted.map(({ record }) => record.topic),
  };
}

/** A call of something outside of the process: the log, the database or the transport. */
export type Step = (call: () => Promise<unknown>, name: string, at: number) => Promise<unknown>;

/** What makes every call that a service makes of its log, its database and its transport pass through `act`, numbered. */
export function steps(w: BarrierWorld, act: Step): Partial<AftercommitOptions> {
  let count = 0;
  const step = <T>(call: () => Promise<T>, name: string) => act(call, name, count++) as Promise<T>;
  return {
    log: intercepted(w.store, step),
    databases: { main: steppingDatabase(w.database, step) },
    transport: {
      ...w.transport,
      publish: (dispatches) => step(() => w.transport.publish(dispatches), "transport.publish"),
    },
  };
}

type Numbered = <T>(call: () => Promise<T>, name: string) => Promise<T>;

function steppingDatabase(database: AnyDatabase, step: Numbered): AnyDatabase {
  const part = <Part extends object>(methods: Part, prefix: string): Part =>
    Object.fromEntries(
      Object.entries(methods).map(([name, method]: [string, (...args: unknown[]) => Promise<unknown>]) => [
        name,
        (...args: unknown[]) => step(() => method(...args), `${prefix}.${name}`),
      ]),
    ) as Part;
  const { run, batch } = database;
  const within =
    <T>(work: (unit: UnitOfWork<unknown>) => Promise<T>) =>
    async (unit: UnitOfWork<unknown>): Promise<T> => {
      const value = await work({ ...unit, decide: (decision) => step(() => unit.decide(decision), "unit.decide") });
      await step(async () => undefined, "unit.commit");
      return value;
    };
  return {
    ...database,
    barrier: part(database.barrier, "barrier"),
    reader: part(database.reader, "reader"),
    inbox: part(database.inbox, "inbox"),
    write: (riders) => step(() => database.write(riders), "database.write"),
    ...(run === undefined ? {} : { run: (work, options) => step(() => run(within(work), options), "database.run") }),
    ...(batch === undefined
      ? {}
      : { batch: (statements, riders) => step(() => batch(statements, riders), "database.batch") }),
  };
}

/** A database each of whose COMMITs is done, and its answer lost. */
export function losingReplies(database: AnyDatabase): AnyDatabase {
  const { run, batch } = database;
  const lost = <T>(outcome: UnitOutcome<T>): UnitOutcome<T> =>
    outcome.status === "committed" ? { status: "unknown", error: new Error("no answer to the COMMIT") } : outcome;
  return {
    ...database,
    ...(run === undefined ? {} : { run: async (work, options) => lost(await run(work, options)) }),
    ...(batch === undefined ? {} : { batch: async (statements, riders) => lost(await batch(statements, riders)) }),
  };
}
