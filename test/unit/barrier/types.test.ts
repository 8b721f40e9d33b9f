import { DatabaseSync } from "node:sqlite";
import { Hono } from "hono";
import { expect, test } from "vitest";
import { aftercommit } from "aftercommit";
import type { AftercommitEnv, BatchName, HandleOf, InteractiveName } from "aftercommit";
import { nodeSqlite } from "aftercommit/sql";
import type { BatchDatabase, InteractiveDatabase } from "aftercommit/sql";

/** A statement of a database that takes batches only. */
interface Prepared {
  readonly prepared: true;
}

type Shop = {
  readonly main: InteractiveDatabase<DatabaseSync>;
  readonly edge: () => Promise<BatchDatabase<Prepared, readonly number[]>>;
};

test("the types of a configuration's databases say what run and batch take", () => {
  const handle: HandleOf<Shop, "main"> = new DatabaseSync(":memory:");
  const interactive: InteractiveName<Shop> = "main";
  const batch: BatchName<Shop> = "edge";
  // @ts-expect-error a database that takes batches only has no run
  const notInteractive: InteractiveName<Shop> = "edge";
  // @ts-expect-error a database with open transactions and no batches has no batch
  const notBatch: BatchName<Shop> = "main";
  expect([interactive, batch, notInteractive, notBatch]).toEqual(["main", "edge", "edge", "main"]);
  handle.close();

  const app = new Hono<AftercommitEnv<object, Shop>>();
  app.post("/orders", async (c) => {
    const { tx } = c.var;
    const rows: readonly unknown[] = await tx.run("main", async (sql) => sql.prepare("select 1").all());
    const numbers: readonly number[] = await tx.batch("edge", [{ prepared: true }]);
    // @ts-expect-error run on a database that takes batches only
    const refused = () => tx.run("edge", async () => 1);
    // @ts-expect-error a statement of another kind
    const other = () => tx.batch("edge", ["select 1"]);
    return c.json({ rows, numbers, refused: typeof refused, other: typeof other });
  });
});

test("without types for its databases a handler says what handle it has", () => {
  const app = new Hono<AftercommitEnv>();
  app.post("/orders", async (c) => {
    await c.var.tx.run("main", async (sql: DatabaseSync) => sql.exec("select 1"));
    return c.text("done");
  });
  const ac = aftercommit({ databases: { main: nodeSqlite(new DatabaseSync(":memory:")) } });
  const run = () => ac.withTransaction("main", async (tx, sql) => [tx.id, sql.prepare("select 1").all()]);
  // @ts-expect-error a database that is not configured
  const other = () => ac.withTransaction("other", async () => 1);
  expect([typeof run, typeof other]).toEqual(["function", "function"]);
});
