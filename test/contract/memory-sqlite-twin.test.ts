import { DatabaseSync } from "node:sqlite";
import type { StatementSync } from "node:sqlite";
import { isDeepStrictEqual } from "node:util";
import { asyncProperty, boolean, check } from "fast-check";
import type { RunDetails } from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { sqlite } from "../../adapters/sql/dialects/sqlite.ts";
import { nodeSqlite } from "../../adapters/sql/index.ts";
import { memoryDatabase } from "../../src/memory/index.ts";
import type { MemorySql } from "../../src/memory/index.ts";
import type { UnitOfWork } from "../../src/ports/database.ts";
import { DEFAULT_START } from "../../src/testing/index.ts";
import { databaseSteps, operateOn, tellAll } from "../support/twin-database.ts";
import type { DatabaseSide, DatabaseStep, UserWork } from "../support/twin-database.ts";

const SEQUENCES = 3_000;
const SEED = 20_270_116;

let time = DEFAULT_START;
const now = (): number => time;
const connection = new DatabaseSync(":memory:");
connection.function("twin_now", now);
/** Changes our statements: a test that wants the twins to differ does. */
let edit = (text: string): string => text;
const prepared = new Map<string, StatementSync>();
/** The same connection, with a clock of ours in place of SQLite's; each statement is prepared once. */
const clocked = {
  exec: (text: string) => connection.exec(text),
  prepare(text: string): StatementSync {
    const known = prepared.get(text);
    if (known !== undefined) return known;
    const statement = connection.prepare(edit(text).replaceAll(sqlite.now, "twin_now()"));
    prepared.set(text, statement);
    return statement;
  },
  get isTransaction() {
    return connection.isTransaction;
  },
};
const sqliteDatabase = nodeSqlite(clocked);
await sqliteDatabase.createTables();
connection.exec("CREATE TABLE texts (text TEXT PRIMARY KEY)");

afterAll(() => connection.close());

const insertInto =
  (insert: (sql: never, text: string) => Promise<unknown>) =>
  async <Sql>(unit: UnitOfWork<Sql>, work: UserWork): Promise<string> => {
    const { text, consumed, decision, outcome, inSavepoint, throws } = work;
    if (consumed !== undefined) await unit.consume(consumed);
    await insert(unit.sql as never, text);
    if (inSavepoint !== undefined) {
      const part = unit.savepoint(async (sql) => {
        await insert(sql as never, `${text} within`);
        if (inSavepoint === "undone") throw new Error("undone");
      });
      await part.catch((error: unknown) => {
        if (inSavepoint !== "undone") throw error;
      });
    }
    if (throws) throw new Error("the handler failed");
    if (consumed !== undefined && outcome !== undefined) await unit.keepOutcome(consumed.claim, outcome);
    if (decision !== undefined) await unit.decide(decision);
    return text;
  };
const inSqlite = insertInto(async (sql: typeof clocked, text) => {
  sql.prepare("INSERT INTO texts (text) VALUES (?)").run(text);
});
const inMemory = insertInto((sql: MemorySql, text) => sql.insert(text, text));

/** Compares, in the words of a test; the cheap look first, as there are many. */
function same(found: unknown, expected: unknown, what: string): void {
  if (!isDeepStrictEqual(plain(found), plain(expected))) expect(plain(found), what).toEqual(plain(expected));
}

/** Without prototypes, and without what stands for nothing. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as unknown);
}

/** Runs one sequence against both databases, on one clock. */
async function compare(sequence: readonly DatabaseStep[], oneByOne: boolean): Promise<void> {
  time = DEFAULT_START;
  connection.exec("DELETE FROM aftercommit_barrier; DELETE FROM aftercommit_inbox; DELETE FROM texts");
  const twin = memoryDatabase({ clock: { now, sleep: async () => {} } });
  const limit = oneByOne ? 1 : 100;
  const memory: DatabaseSide = {
    database: twin,
    now,
    run: (work) => twin.run((unit) => inMemory(unit, work)),
    rows: [],
    limit,
  };
  const real: DatabaseSide = {
    database: sqliteDatabase,
    now,
    run: (work) => sqliteDatabase.run((unit) => inSqlite(unit, work)),
    rows: [],
    limit,
  };
  for (const step of sequence) {
    time += step.millis;
    const expected = await operateOn(real, step);
    same(await operateOn(memory, step), expected, step.name);
  }
  same(await tellAll(memory), await tellAll(real), "what is told");
  const texts = connection.prepare("SELECT text FROM texts ORDER BY text").all();
  same(
    [...twin.table().keys()].sort(),
    texts.map(({ text }) => text),
    "the user's table",
  );
}

interface Compared {
  readonly operations: number;
  /** The first difference, with the shortest sequence that shows it. */
  readonly difference: RunDetails<[DatabaseStep[], boolean]> | undefined;
}

async function compareMany(sequences: number, { shrink }: { readonly shrink: boolean }): Promise<Compared> {
  let operations = 0;
  const property = asyncProperty(databaseSteps, boolean(), async (sequence, oneByOne) => {
    operations += sequence.length;
    await compare(sequence, oneByOne);
  });
  const details = await check(property, { numRuns: sequences, seed: SEED, endOnFailure: !shrink });
  return { operations, difference: details.failed ? details : undefined };
}

/** The error of the shortest sequence, which it names. */
function told({ counterexample, errorInstance, seed }: RunDetails<[DatabaseStep[], boolean]>): unknown {
  if (!(errorInstance instanceof Error)) return errorInstance;
  const [sequence = [], oneByOne] = counterexample ?? [];
  const lines = sequence.map((step) => JSON.stringify(step)).join("\n  ");
  errorInstance.message += `\nafter this sequence, seed ${seed}, one by one ${oneByOne}:\n  ${lines}`;
  return errorInstance;
}

test(`the memory database answers ${SEQUENCES} sequences of operations as SQLite does, and keeps the same`, async () => {
  const start = performance.now();
  const { operations, difference } = await compareMany(SEQUENCES, { shrink: true });
  if (difference !== undefined) throw told(difference);
  const seconds = ((performance.now() - start) / 1_000).toFixed(1);
  console.log(`twins: ${SEQUENCES} sequences, ${operations} operations against node:sqlite in ${seconds} s`);
}, 120_000);

/** Statements with a known mistake each. */
const MISTAKES: readonly (readonly [name: string, right: string, wrong: string])[] = [
  ["a change made from another version", "kind = 'decision' AND version = ?", "kind = 'decision' AND version >= 0 * ?"],
  ["an intent that is written beside a decision", "AND kind = 'decision') ON CONFLICT", "AND kind = 'x') ON CONFLICT"],
  ["an intent that an earlier write replaces", "AND version < ?", "AND version <> ?"],
  ["a claim that is due at once again", `SET due = ${sqlite.now} + ?`, `SET due = ${sqlite.now} + 0 * ?`],
  ["a clean-up of what a person has yet to see", "AND dead = 0", ""],
  ["a completion after the lease", `AND token = ? AND expires > ${sqlite.now} ON`, "AND token = ? ON"],
  ["a renewal after the lease", `AND token = ? AND expires > ${sqlite.now}`, "AND token = ?"],
  ["a release of another's lease", "AND kind = 'lease' AND token = ?", "AND kind = 'lease' AND token <> '' || ?"],
  ["a claim of what is done", "AND kind = 'done') ON CONFLICT", "AND kind = 'x') ON CONFLICT"],
];

describe("the twins differ where a statement is wrong", () => {
  test.each(MISTAKES)(
    "%s is found",
    async (_, right, wrong) => {
      let edited = false;
      edit = (text) => {
        edited ||= text.includes(right);
        return text.replaceAll(right, () => wrong);
      };
      prepared.clear();
      try {
        const { difference } = await compareMany(SEQUENCES, { shrink: false });
        expect(edited).toBe(true);
        expect(difference?.errorInstance).toMatchObject({ name: "AssertionError" });
      } finally {
        edit = (text) => text;
        prepared.clear();
      }
    },
    60_000,
  );
});
