import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { PrismaPg } from "@prisma/adapter-pg";
import { afterAll, describe, expect, test } from "vitest";
import { prismaOrm } from "../../adapters/sql/index.ts";
import { databaseContract } from "../../src/testing/index.ts";
import { losesCommits } from "../support/orm/lost-commits.ts";
import { lossyPool, poolOf } from "../support/orm/postgres-pool.ts";
import { freshTables, ormUnderTest, seenBy } from "../support/orm/shop-tables.ts";
import type { Ask } from "../support/orm/shop-tables.ts";
import { startPostgresServer } from "../support/postgres-server.ts";
import { generatePrisma } from "../support/prisma/generate.ts";
import { TEXT_MODEL } from "../support/prisma/shop-client.ts";
import type { ShopPrisma, ShopTransaction } from "../support/prisma/shop-client.ts";

const server = await startPostgresServer();
const generated = await generatePrisma("postgresql", TEXT_MODEL);
const { PrismaClient } = (await generated.load()) as ShopPrisma;
afterAll(async () => {
  await Promise.all([server?.stop(), generated.dispose()]);
});

const insert = (tx: ShopTransaction, text: string) => tx.text.create({ data: { text } });

test("a generated client's own transaction client is the handle, with its extensions", async () => {
  writeFileSync(
    join(generated.directory, "handles.ts"),
    `import { prismaOrm } from "aftercommit/sql";
import { PrismaClient } from "./client.ts";
import type { Prisma } from "./client.ts";

declare const client: PrismaClient;
void prismaOrm(client, { dialect: "postgresql" }).run(async ({ sql }) => {
  const handle: Prisma.TransactionClient = sql;
  await handle.text.create({ data: { text: "a" } });
  // @ts-expect-error: there is no such model
  await sql.order.create({ data: {} });
});

const extended = client.$extends({ model: { text: { shout: async (text: string) => text.toUpperCase() } } });
void prismaOrm(extended, { dialect: "postgresql" }).run(async ({ sql }) => {
  const shouted: string = await sql.text.shout("a");
  await sql.text.create({ data: { text: shouted } });
  // @ts-expect-error: a transaction does not disconnect
  await sql.$disconnect();
});
`,
  );
  writeFileSync(
    join(generated.directory, "tsconfig.json"),
    JSON.stringify({
      extends: "../../../test/tsconfig.json",
      compilerOptions: { rootDir: "../../.." },
      include: ["handles.ts"],
      exclude: [],
    }),
  );
  const tsc = new URL("../../node_modules/.bin/tsc", import.meta.url).pathname;
  const said = await promisify(execFile)(tsc, ["-p", generated.directory, "--pretty", "false"]).then(
    () => "",
    (error: { readonly stdout: string }) => error.stdout,
  );
  expect(said).toBe("");
});

describe.skipIf(server === undefined)("Prisma on PostgreSQL", async () => {
  const connectionString = (await server?.createDatabase()) ?? "";
  const pools = [1, 2, 3].map(() => poolOf(connectionString));
  const clients = pools.slice(0, 2).map((pool) => new PrismaClient({ adapter: new PrismaPg(pool) }));
  afterAll(async () => {
    for (const client of clients) await client.$disconnect();
    for (const pool of pools) await pool.end();
  });
  const ask: Ask = async (text) => (await pools[2]!.query(text)).rows;
  const [database, other] = clients.map((client) => prismaOrm(client, { dialect: "postgresql", timeout: "20s" }));

  databaseContract({ test }, () => ormUnderTest("postgresql", ask, [database!, other!], insert, { concurrent: true }));

  test("work that takes longer than Prisma's timeout is a certain rollback", async () => {
    await freshTables("postgresql", ask);
    const hasty = prismaOrm(clients[0]!, { dialect: "postgresql", timeout: 50 });
    const { advance, texts } = seenBy(ask);
    const outcome = await hasty.run(async (unit) => {
      await insert(unit.sql, "a");
      await unit.decide({ transactionId: "t1", source: "shop", records: [], at: 0, dueMillis: 0 });
      await advance(200);
    });
    expect(outcome).toMatchObject({ status: "rolledBack", retryable: false });
    expect((await hasty.barrier.find(["t1"])).size).toBe(0);
    expect(await texts()).toEqual([]);
  });

  test("a limit that is no duration is refused at once", () => {
    expect(() => prismaOrm(clients[0]!, { dialect: "postgresql", timeout: "soon" })).toThrow("prismaOrm.timeout");
    expect(() => prismaOrm(clients[0]!, { dialect: "postgresql", maxWait: 0 })).toThrow("prismaOrm.maxWait");
  });
});

describe.skipIf(server === undefined)("Prisma on a PostgreSQL that is lost at COMMIT", async () => {
  const connectionString = (await server?.createDatabase()) ?? "";
  const { pool, lose } = lossyPool(connectionString);
  const client = new PrismaClient({ adapter: new PrismaPg(pool) });
  afterAll(async () => {
    await client.$disconnect();
    await pool.end();
  });

  losesCommits({ test }, { database: prismaOrm(client, { dialect: "postgresql" }), connectionString, lose, insert });
});
