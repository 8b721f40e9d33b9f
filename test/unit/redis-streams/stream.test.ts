import { expect, test } from "vitest";
import { createRedisEngine } from "../../../adapters/dev/redis/index.ts";
import { subscriberStream } from "../../../adapters/redis-streams/stream.ts";
import { simulatedClock } from "../../../src/testing/index.ts";
import { backendExecutor } from "../../support/upstash-endpoint.ts";

const ADDRESS = { scheme: "stream", channel: "orders", subscriber: "receipt" };

async function started(count = 1) {
  const clock = simulatedClock();
  const engine = createRedisEngine({ now: () => clock.now() });
  const stream = subscriberStream(backendExecutor(engine), "shop", ADDRESS);
  await stream.open(1_000);
  const ids = Array.from({ length: count }, (_, i) => `id-${i}`);
  if (count > 0)
    await stream.publish(
      ids.map((deduplicationId) => ({ deduplicationId, waitMillis: 0, text: `text of ${deduplicationId}` })),
    );
  return { clock, engine, stream };
}

test("of two workers that look at the same time, one gets what a third left behind", async () => {
  const { clock, stream } = await started();
  await stream.read("gone", 10);
  await clock.advance(5_000);
  const found = await Promise.all([stream.reclaim("one", 5_000), stream.reclaim("two", 5_000)]);
  expect(found.filter((handed) => handed !== undefined)).toEqual([expect.objectContaining({ deliveries: 2 })]);
});

test("a worker cannot put back what another has by now", async () => {
  const { clock, stream } = await started();
  const [slow] = await stream.read("slow", 10);
  await clock.advance(5_000);
  await stream.reclaim("other", 5_000);
  await stream.putBack("slow", slow!.entry, { used: 1, waitMillis: 0 });
  expect(await stream.backlog()).toEqual({ ready: 1, pending: 1, later: 0 });
  expect(await stream.read("third", 10)).toEqual([]);
});

test("a worker cannot keep what another has by now, and keeps the rest", async () => {
  const { clock, stream } = await started(3);
  const mine = await stream.read("slow", 10);
  const ids = mine.map(({ entry }) => entry.id);
  await clock.advance(5_000);
  await stream.reclaim("other", 5_000);
  expect(await stream.extend("slow", [...ids].reverse())).toEqual(new Set(ids.slice(1)));
  await clock.advance(4_999);
  expect(await stream.reclaim("third", 5_000)).toBeUndefined();
  await clock.advance(1);
  expect(await stream.reclaim("third", 5_000)).toMatchObject({ entry: { id: ids[0] }, deliveries: 3 });
});

test("a sign of life counts no delivery", async () => {
  const { clock, stream } = await started();
  const [held] = await stream.read("one", 10);
  for (let i = 0; i < 5; i++) await stream.extend("one", [held!.entry.id]);
  await clock.advance(5_000);
  expect(await stream.reclaim("two", 5_000)).toMatchObject({ deliveries: 2 });
});

test("what is put back bears the attempts made, at once or when it is due", async () => {
  const { clock, stream } = await started(2);
  const [first, second] = await stream.read("one", 10);
  await stream.putBack("one", first!.entry, { used: 1, waitMillis: 0 });
  await stream.putBack("one", second!.entry, { used: 2, waitMillis: 1_000 });
  expect(await stream.read("two", 10)).toMatchObject([
    { entry: { used: 1, deduplicationId: "id-0", text: "text of id-0" } },
  ]);
  expect(await stream.nextDue()).toBe(clock.now() + 1_000);
  expect(await stream.promote()).toBe(1_000);
  await clock.advance(1_000);
  expect(await stream.promote()).toBeUndefined();
  expect(await stream.read("two", 10)).toMatchObject([
    { entry: { used: 2, deduplicationId: "id-1", text: "text of id-1" } },
  ]);
});

test("what becomes due at once is moved a part at a time", async () => {
  const { clock, stream } = await started(0);
  const entries = Array.from({ length: 70 }, (_, i) => ({
    deduplicationId: `id-${i}`,
    waitMillis: 10 + i,
    text: "text",
  }));
  await stream.publish(entries);
  await clock.advance(1_000);
  expect(await stream.promote()).toBe(0);
  expect(await stream.backlog()).toEqual({ ready: 50, pending: 0, later: 20 });
  expect(await stream.promote()).toBeUndefined();
  expect(await stream.backlog()).toEqual({ ready: 70, pending: 0, later: 0 });
});

test("a worker leaves only with empty hands", async () => {
  const { engine, stream } = await started();
  const names = () =>
    (engine.execute(["XINFO", "CONSUMERS", "{shop:stream:orders}:receipt", "workers"]) as unknown as string[][]).map(
      ([, name]) => name,
    );
  const [held] = await stream.read("one", 10);
  await stream.leave("one");
  expect(names()).toEqual(["one"]);
  await stream.finish([held!.entry]);
  await stream.leave("one");
  expect(names()).toEqual([]);
});
