import { afterAll, describe } from "vitest";
import { startPostgresServer } from "../../support/postgres-server.ts";
import { startRedisServer } from "../../support/redis-server.ts";
import { exampleSuite } from "../serving/example-suite.ts";

const [postgres, redis] = await Promise.all([startPostgresServer(), startRedisServer()]);
afterAll(() => Promise.all([postgres?.stop(), redis?.stop()]));

describe.skipIf(postgres === undefined || redis === undefined)("the example for Node, PostgreSQL and Drizzle", () => {
  exampleSuite({
    runtime: "node",
    entry: "examples/node-drizzle/main.ts",
    prepare: async () => ({
      DATABASE_URL: await postgres!.createDatabase(),
      REDIS_URL: `redis://127.0.0.1:${redis!.port}`,
    }),
  });
});
