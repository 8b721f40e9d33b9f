import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "vitest";
import { endsWithTest, exampleSuite } from "../serving/example-suite.ts";

describe("the example for Bun and SQLite", () => {
  exampleSuite({
    runtime: "bun",
    entry: "examples/bun-sqlite/main.ts",
    async prepare() {
      const directory = endsWithTest(await mkdtemp(join(tmpdir(), "aftercommit-bun-")), (path) =>
        rm(path, { recursive: true, force: true }),
      );
      return { DATABASE_FILE: join(directory, "orders.sqlite") };
    },
  });
});
