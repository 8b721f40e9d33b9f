import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { PGlite } from "@electric-sql/pglite";
import { createPool } from "mysql2/promise";
import type { PoolConnection } from "mysql2/promise";
import { afterAll, describe, expect, test } from "vitest";
import { mysql2, nodeSqlite, pglite } from "../../adapters/sql/index.ts";
import type { Dialect, InteractiveDatabase } from "../../adapters/sql/index.ts";
import { databaseContract } from "../../src/testing/index.ts";
import { startMariadbServer } from "../support/mariadb-server.ts";
import { drizzleDdl } from "../support/orm/drizzle-ddl.ts";
import { emptyTables, seenBy, TEXTS_TABLE } from "../support/orm/shop-tables.ts";
import type { Ask } from "../support/orm/shop-tables.ts";
import { prismaDdl } from "../support/prisma/ddl.ts";
import { generatePrisma } from "../support/prisma/generate.ts";

// What the guide shows for ORMs is run: the tables are made of it, and the whole contract holds on them.
const root = new URL("../..", import.meta.url).pathname;
const guide = readFileSync(join(root, "docs", "schema.md"), "utf8");
const SNIPPET = /^### (PostgreSQL|SQLite|MySQL): (Drizzle|Prisma)\n[^`]*^```(?:ts|prisma)\n([\s\S]*?)^```$/gm;
const snippets = [...guide.matchAll(SNIPPET)].map(([, title, tool, code]) => {
  return { dialect: title!.toLowerCase() as Dialect["name"], tool: tool as "Drizzle" | "Prisma", code: code! };
});

mkdirSync(join(root, ".tmp"), { recursive: true });
const folder = mkdtempSync(join(root, ".tmp", "schema-"));
const mariadb = await startMariadbServer();
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await mariadb?.stop();
});

test("the guide has each dialect for each ORM", () => {
  expect(snippets.map(({ dialect, tool }) => `${dialect} ${tool}`).sort()).toEqual([
    "mysql Drizzle",
    "mysql Prisma",
    "postgresql Drizzle",
    "postgresql Prisma",
    "sqlite Drizzle",
    "sqlite Prisma",
  ]);
});

for (const { dialect, tool, code } of snippets) {
  describe.skipIf(dialect === "mysql" && mariadb === undefined)(
    `the tables of ${dialect}, as ${tool} has them`,
    async () => {
      const { ask, insert, database, close } = await open(dialect);
      afterAll(close);
      for (const text of [TEXTS_TABLE[dialect], ...(await ddlOf(tool, dialect, code))]) await ask(text);

      databaseContract({ test }, async () => {
        await emptyTables(ask);
        const dispose = () => Promise.resolve();
        return { database, other: database, insert, ...seenBy(ask), dispose };
      });
    },
  );
}

async function ddlOf(tool: "Drizzle" | "Prisma", dialect: Dialect["name"], code: string): Promise<readonly string[]> {
  if (tool === "Prisma") {
    // Prisma finds out whether it can read them.
    await (await generatePrisma(dialect, code)).dispose();
    return prismaDdl(dialect, code);
  }
  const file = join(folder, `${dialect}.ts`);
  writeFileSync(file, code);
  const tables = (await import(/* @vite-ignore */ file)) as Readonly<Record<string, unknown>>;
  return Object.values(tables).flatMap(drizzleDdl);
}

interface Opened {
  readonly ask: Ask;
  readonly database: InteractiveDatabase<unknown>;
  insert(sql: unknown, text: string): Promise<void>;
  close(): Promise<void>;
}

async function open(dialect: Dialect["name"]): Promise<Opened> {
  if (dialect === "sqlite") {
    const connection = new DatabaseSync(":memory:");
    return {
      ask: async (text) => connection.prepare(text).all(),
      database: nodeSqlite(connection),
      insert: async (_, text) => void connection.prepare("INSERT INTO texts (text) VALUES (?)").run(text),
      close: async () => connection.close(),
    };
  }
  if (dialect === "postgresql") {
    const client = new PGlite();
    return {
      ask: async (text) => (await client.query<Record<string, unknown>>(text)).rows,
      database: pglite(client),
      insert: async (tx, text) =>
        void (await (tx as typeof client).query("INSERT INTO texts (text) VALUES ($1)", [text])),
      close: () => client.close(),
    };
  }
  const pool = createPool({ ...(await mariadb?.createDatabase()) });
  return {
    ask: async (text) => (mariadb === undefined ? [] : ((await pool.query(text))[0] as Record<string, unknown>[])),
    database: mysql2(pool),
    insert: async (tx, text) =>
      void (await (tx as PoolConnection).query("INSERT INTO texts (text) VALUES (?)", [text])),
    close: () => pool.end(),
  };
}
