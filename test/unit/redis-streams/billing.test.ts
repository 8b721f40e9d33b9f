import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { connectRedisServer, createRedisEngine } from "../../../adapters/dev/redis/index.ts";
import type { RedisBackend } from "../../../adapters/dev/redis/index.ts";
import { pull, redisStreams } from "../../../adapters/redis-streams/index.ts";
import { subscriberStream } from "../../../adapters/redis-streams/stream.ts";
import { simulatedClock } from "../../../src/testing/index.ts";
import { startRedisServer } from "../../support/redis-server.ts";
import { orderPaid, world } from "../../support/world.ts";
import { backendExecutor } from "../../support/upstash-endpoint.ts";
import { dispatchTo } from "../qstash/scripted-client.ts";
import { RECEIPT } from "./stream-world.ts";

/** What Upstash bills: every command, and every command inside a script besides the script itself. */
const server = await startRedisServer();
const real = server && (await connectRedisServer({ host: "127.0.0.1", port: server.port }));

afterAll(async () => {
  await real?.close();
  await server?.stop();
});

describe("the bill of the embedded Redis", () => billing(createRedisEngine()));
describe.skipIf(real === undefined)("the bill of a real server", () => billing(real!));

function billing(backend: RedisBackend): void {
  const redis = backendExecutor(backend);
  const transport = redisStreams(redis, { channels: ["orders"] });
  const bodies = (count: number) => Array.from({ length: count }, (_, index) => dispatchTo(RECEIPT, { index }));

  beforeEach(async () => {
    await backend.execute(["FLUSHALL"]);
  });

  const costOf = async (run: () => Promise<unknown>): Promise<number> => {
    await backend.resetBilled();
    await run();
    return (await backend.billed()).total;
  };

  /** A worker whose messages are no envelopes: they are taken out, and nothing else is paid for them. */
  const worker = (options = {}) => {
    const w = world();
    const clock = simulatedClock(Date.now());
    const { ac } = w.service();
    ac.subscribe(orderPaid, "receipt", () => {});
    return { clock, puller: pull(ac, redis, { from: RECEIPT, clock, ...options }) };
  };

  test.each([
    [1, 4],
    [10, 13],
    [100, 103],
  ])("publishing %i deliveries to one subscriber costs %i", async (count, cost) => {
    expect(await costOf(() => transport.publish(bodies(count)))).toBe(cost);
  });

  test("publishing a delivery with a delay costs 5", async () => {
    const delayed = dispatchTo(RECEIPT, { send: { notBefore: Date.now() + 60_000 } });
    expect(await costOf(() => transport.publish([delayed]))).toBe(5);
  });

  test("publishing what is outstanding costs 3", async () => {
    await transport.publish(bodies(1));
    expect(await costOf(() => transport.publish(bodies(1)))).toBe(3);
  });

  test.each([1, 10])("fetching %i messages costs 1, and letting them go 4", async (count) => {
    const { puller } = worker();
    await puller.pull();
    await transport.publish(bodies(count));
    expect(await costOf(() => puller.pull())).toBe(1 + 4);
  });

  test("a look at an empty stream costs 1, and 3 where it is time to look for what was left behind", async () => {
    const { puller, clock } = worker();
    expect(await costOf(() => puller.pull())).toBe(3 + 3);
    expect(await costOf(() => puller.pull())).toBe(1);
    await clock.advance(30_000);
    expect(await costOf(() => puller.pull())).toBe(3);
  });

  test(
    "an hour of a worker that finds nothing costs 610, and 370 where it looks for new ones once a minute",
    { timeout: 120_000 },
    async () => {
      const hour = async (options: object): Promise<number> => {
        const { puller, clock } = worker(options);
        const ending = new AbortController();
        const running = puller.run({ signal: ending.signal });
        const cost = await costOf(async () => {
          for (let seconds = 0; seconds < 3_600; seconds += 5) {
            await clock.advance(5_000);
            await settled(backend);
          }
        });
        ending.abort();
        await clock.advance(60_000);
        await running;
        return cost;
      };
      expect(await hour({})).toSatisfy((cost: number) => cost > 550 && cost <= 620);
      expect(await hour({ poll: "60s", visibility: "5m" })).toSatisfy((cost: number) => cost > 330 && cost <= 380);
    },
  );

  test("a sign of life costs 3 for all that a worker has in its hands", async () => {
    const { puller, clock } = worker();
    await puller.pull();
    const messages = puller.messages(orderPaid);
    await transport.publish(bodies(5).map((dispatch) => ({ ...dispatch, body: ENVELOPE })));
    await messages.next();
    expect(
      await costOf(async () => {
        await clock.advance(20_000);
        await settled(backend);
      }),
    ).toBe(3);
    await messages.return();
  });

  test("taking what another worker left costs 2, besides the look for it", async () => {
    const { puller } = worker();
    await puller.pull();
    await transport.publish(bodies(1));
    const id = await backend.execute(["XREADGROUP", "GROUP", "workers", "gone", "STREAMS", STREAM, ">"]);
    await backend.execute(["XCLAIM", STREAM, "workers", "gone", "0", firstId(id), "IDLE", "100000"]);
    const { puller: other } = worker();
    // The group and the time, what waits, what was left, its claim; and letting it go.
    expect(await costOf(() => other.pull())).toBe(3 + 1 + 1 + 1 + 4);
  });

  test.each([
    [0, 7],
    [60_000, 8],
  ])("putting a message back for %i ms costs %i, besides fetching it", async (wait, cost) => {
    const stream = subscriberStream(redis, "aftercommit", {
      scheme: "stream",
      channel: "orders",
      subscriber: "receipt",
    });
    await stream.open(1);
    await transport.publish(bodies(1));
    const [handed] = await stream.read("one", 1);
    expect(await costOf(() => stream.putBack("one", handed!.entry, { used: 1, waitMillis: wait }))).toBe(cost);
  });

  test("moving what is due costs 5 and 1 for each, besides the look for it", async () => {
    const { puller, clock } = worker();
    await puller.pull();
    const waiting = bodies(3).map(({ record, body }) => ({
      record: { ...record, send: { notBefore: Date.now() + 1 } },
      body,
    }));
    await transport.publish(waiting);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await clock.advance(30_000);
    // What waits, what was left, moving three of them; fetching and letting go.
    expect(await costOf(() => puller.pull())).toBe(1 + 1 + (1 + 5 + 3) + 1 + 4);
  });
}

const STREAM = "{aftercommit:stream:orders}:receipt";
const ENVELOPE = JSON.stringify({
  specversion: "1.0",
  id: "0192c0de-0000-7000-8000-000000000001_0",
  source: "https://shop.example.com",
  type: "order.paid",
  time: "2027-01-15T08:00:00.000Z",
  datacontenttype: "application/json",
  transactionid: "0192c0de-0000-7000-8000-000000000001",
  messageindex: 0,
  decidedat: "2027-01-15T08:00:00.000Z",
  data: { orderId: "o-1" },
});

function firstId(reply: unknown): string {
  return (reply as [string, [string, unknown][]][])[0]![1][0]![0];
}

/** What was asked of a server over a socket has been answered. */
async function settled(backend: RedisBackend): Promise<void> {
  await backend.execute(["PING"]);
  await new Promise((resolve) => setImmediate(resolve));
}
