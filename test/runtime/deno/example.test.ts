import { afterAll, describe } from "vitest";
import { startPostgresServer } from "../../support/postgres-server.ts";
import { exampleSuite } from "../serving/example-suite.ts";
import { startProgram } from "../serving/program.ts";

const postgres = await startPostgresServer();
afterAll(() => postgres?.stop());

describe.skipIf(postgres === undefined)("the example for Deno and PostgreSQL", () => {
  exampleSuite({
    runtime: "deno",
    entry: "examples/deno-postgres/main.ts",
    async prepare() {
      const env = { DATABASE_URL: await postgres!.createDatabase() };
      const migration = startProgram("deno", "examples/deno-postgres/migrate.ts", env);
      await migration.prints("the tables are there");
      return env;
    },
  });
});
