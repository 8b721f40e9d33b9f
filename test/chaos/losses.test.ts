import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { createClient } from "redis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startPostgresServer } from "../support/postgres-server.ts";
import type { PostgresServerProcess } from "../support/postgres-server.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { startChaosRedis } from "./chaos-redis.ts";
import type { ChaosRedis, RedisLoss } from "./chaos-redis.ts";

const found = await startRedisServer();
await found?.stop();
const LIMIT = { timeout: 60_000 };

describe.skipIf(found === undefined)("a Redis that is to lose what it holds", () => {
  let directory = "";
  let redis: ChaosRedis;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "aftercommit-losses-"));
    redis = await startChaosRedis(directory, () => 0);
  }, LIMIT.timeout);
  afterAll(() => {
    redis.end();
    rmSync(directory, { recursive: true, force: true });
  });

  const ask = async (...words: readonly string[]): Promise<unknown> => {
    const client = createClient({ url: redis.url, socket: { reconnectStrategy: false } });
    client.on("error", () => undefined);
    await client.connect();
    try {
      return await client.sendCommand([...words]);
    } finally {
      client.destroy();
    }
  };
  /** Waits until the replica has heard all of it. */
  const follows = async () => {
    const client = createClient({ url: redis.url });
    await client.connect();
    await client.set("heard", "1");
    expect(await client.wait(1, LIMIT.timeout)).toBe(1);
    client.destroy();
  };
  const lose = (loss: RedisLoss, lagMillis = 0) => redis.lose({ loss, lagMillis, downMillis: 0 });

  test("that is only killed comes back with all of it", LIMIT, async () => {
    await ask("SET", "a", "1");
    await lose("killed");
    expect(await ask("GET", "a")).toBe("1");
  });

  test(
    "that fails over answers at its address with what its replica had heard, and without what it had not",
    LIMIT,
    async () => {
      await ask("SET", "b", "heard");
      await follows();
      const before = await ask("INFO", "server");
      const losing = lose("replica promoted", 1_000);
      let acknowledged = 0;
      for (let answer = 0; !Number.isNaN(answer);) {
        acknowledged = answer;
        answer = await ask("INCR", "c").then(Number, () => Number.NaN);
      }
      await losing;
      expect(await ask("GET", "b")).toBe("heard");
      expect(Number(await ask("GET", "c"))).toBeLessThan(acknowledged);
      expect(processOf(await ask("INFO", "server"))).not.toBe(processOf(before));
      expect(String(await ask("ROLE"))).toMatch(/^master/u);
    },
  );

  test("that fails over can fail over again, to what follows it since", LIMIT, async () => {
    await ask("SET", "d", "heard");
    await follows();
    await lose("replica promoted");
    expect(await ask("GET", "d")).toBe("heard");
  });

  test("with the tail of its AOF cut keeps what is older", LIMIT, async () => {
    await ask("SET", "e", "old");
    await lose("killed");
    const lost = await lose("AOF tail cut");
    expect(lost).toBeLessThanOrEqual(Date.now());
    expect(await ask("EXISTS", "b")).toBe(1);
  });

  test("without its AOF, or flushed, holds nothing", LIMIT, async () => {
    for (const loss of ["AOF gone", "FLUSHALL"] as const) {
      await ask("SET", "f", "1");
      await lose(loss);
      expect(await ask("DBSIZE")).toBe(0);
    }
  });
});

function processOf(info: unknown): string | undefined {
  return /process_id:(\d+)/u.exec(String(info))?.[1];
}

describe("a PostgreSQL that is killed with all its processes", async () => {
  const postgres: PostgresServerProcess | undefined = await startPostgresServer();
  afterAll(() => postgres?.stop());

  test.skipIf(postgres === undefined)(
    "comes back at its address with what was committed, and without what was not",
    LIMIT,
    async () => {
      const url = await postgres!.createDatabase();
      const clients = [new Client({ connectionString: url }), new Client({ connectionString: url })] as const;
      const ends = clients.map((client) => new Promise((resolve) => client.once("error", resolve)));
      await Promise.all(clients.map((client) => client.connect()));
      await clients[0].query("create table kept (id integer)");
      await clients[0].query("insert into kept values (1)");
      await clients[1].query("begin");
      await clients[1].query("insert into kept values (2)");
      await postgres!.crash();
      await Promise.all(ends);

      const after = new Client({ connectionString: url });
      await after.connect();
      const { rows } = await after.query("select id from kept");
      await after.end();
      expect(rows).toEqual([{ id: 1 }]);
    },
  );

  test.skipIf(postgres === undefined)("comes back although it was recovering from another kill", LIMIT, async () => {
    const url = await postgres!.createDatabase();
    for (let round = 0; round < 3; round++) {
      const client = new Client({ connectionString: url });
      const lost = new Promise((resolve) => client.once("error", resolve));
      await client.connect();
      const { rows } = await client.query<{ readonly pid: number }>("select pg_backend_pid() as pid");
      process.kill(rows[0]!.pid, "SIGKILL");
      await lost;
      await postgres!.crash();
    }
    const after = new Client({ connectionString: url });
    await after.connect();
    expect((await after.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await after.end();
  });
});
