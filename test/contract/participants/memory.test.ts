import { describe } from "vitest";
import { memoryDatabase, memoryStore } from "aftercommit/memory";
import type { MemorySql, MemoryStatement } from "aftercommit/memory";
import { participantSuite } from "./suite.ts";

describe("a participant in memory, without a database", () => {
  participantSuite(async () => ({ inbox: memoryStore().inbox }));
});

describe("a participant with a memory database that keeps transactions open", () => {
  participantSuite(async () => {
    const { batch: _, ...database } = memoryDatabase();
    return {
      database,
      insert: (sql, text) => (sql as MemorySql).insert(text, 1),
      texts: async () => [...database.table().keys()],
    };
  });
});

describe("a participant with a memory database that takes batches", () => {
  participantSuite(async () => {
    const { run: _, ...database } = memoryDatabase();
    return {
      database,
      insertStatement:
        (text): MemoryStatement =>
        (sql) =>
          sql.insert(text, 1),
      texts: async () => [...database.table().keys()],
    };
  });
});
