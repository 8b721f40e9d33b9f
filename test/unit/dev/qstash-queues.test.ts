import { describe, expect, test } from "vitest";
import { deferred, failing, startDestination, startQStash } from "./qstash-harness.ts";

describe("queues", () => {
  test("messages of a queue go out one after the other, in the order in which they came", async () => {
    const { client, qstash } = await startQStash();
    const { url, received } = await startDestination();
    const queue = client.queue({ queueName: "orders" });
    for (const n of [1, 2, 3]) await queue.enqueueJSON({ url, body: n });
    await qstash.idle();
    expect(received.map(({ body }) => body)).toEqual(["1", "2", "3"]);
    expect(await queue.get()).toMatchObject({ name: "orders", parallelism: 1, paused: false, lag: 0 });
  });

  test("the next message waits for the retries of the head", async () => {
    const { client, advance } = await startQStash();
    const { url, received } = await startDestination(({ body }, index) =>
      body === "1" && index < 3 ? { status: 500 } : {},
    );
    const queue = client.queue({ queueName: "orders" });
    for (const n of [1, 2]) await queue.enqueueJSON({ url, body: n });
    await advance(12_000 + 148_000 - 1);
    expect(received.map(({ body }) => body)).toEqual(["1", "1"]);
    expect(await queue.get()).toMatchObject({ lag: 2 });
    await advance(3_600_000);
    expect(received.map(({ body }) => body)).toEqual(["1", "1", "1", "1", "2"]);
  });

  test("the next message goes out when the head is dead", async () => {
    const { client, advance } = await startQStash();
    const { url, received } = await startDestination(({ body }) => (body === "1" ? { status: 500 } : {}));
    const queue = client.queue({ queueName: "orders" });
    for (const n of [1, 2]) await queue.enqueueJSON({ url, body: n, retries: 1 });
    await advance(12_000);
    expect(received.map(({ body }) => body)).toEqual(["1", "1", "2"]);
  });

  test("the next message waits for the callbacks of the head, and their retries", async () => {
    const { client, advance } = await startQStash();
    const { url, received } = await startDestination();
    const back = await startDestination(failing(1));
    const queue = client.queue({ queueName: "orders" });
    await queue.enqueueJSON({ url, body: 1, callback: back.url });
    await queue.enqueueJSON({ url, body: 2 });
    await advance(12_000 - 1);
    expect(received).toHaveLength(1);
    await advance(1);
    expect(back.received).toHaveLength(2);
    expect(received).toHaveLength(2);
  });

  test("as many messages are on their turn as the parallelism says", async () => {
    const { client, advance } = await startQStash();
    const { url, received } = await startDestination(() => ({ status: 500 }));
    const queue = client.queue({ queueName: "orders" });
    await queue.upsert({ parallelism: 2 });
    for (const n of [1, 2, 3]) await queue.enqueueJSON({ url, body: n, retries: 1 });
    await advance(0);
    expect(received.map(({ body }) => body).sort()).toEqual(["1", "2"]);
    await advance(12_000);
    expect(received).toHaveLength(5);
  });

  test("a paused queue accepts messages and delivers them when it is resumed", async () => {
    const { client, qstash } = await startQStash();
    const { url, received } = await startDestination();
    const queue = client.queue({ queueName: "orders" });
    await queue.upsert({ paused: true });
    await queue.enqueueJSON({ url, body: 1 });
    await qstash.idle();
    expect(received).toHaveLength(0);
    expect(await queue.get()).toMatchObject({ paused: true, lag: 1 });
    await queue.resume();
    await qstash.idle();
    expect(received).toHaveLength(1);
  });

  test("a queue that is paused while its head waits for a retry holds the retry back", async () => {
    const { client, advance } = await startQStash();
    const { url, received } = await startDestination(failing(1));
    const queue = client.queue({ queueName: "orders" });
    await queue.enqueueJSON({ url, body: 1 });
    await advance(0);
    await queue.pause();
    await advance(60_000);
    expect(received).toHaveLength(1);
    await queue.resume();
    await advance(0);
    expect(received).toHaveLength(2);
  });

  test("cancelling the head lets the next message through", async () => {
    const { client, advance } = await startQStash();
    const { url, received } = await startDestination(({ body }) => (body === "1" ? { status: 500 } : {}));
    const queue = client.queue({ queueName: "orders" });
    const head = await queue.enqueueJSON({ url, body: 1 });
    await queue.enqueueJSON({ url, body: 2 });
    await advance(0);
    await client.messages.cancel(head.messageId);
    await advance(0);
    expect(received.map(({ body }) => body)).toEqual(["1", "2"]);
  });

  test("batch items name their queue", async () => {
    const { client, qstash } = await startQStash();
    const { url, received } = await startDestination();
    await client.batchJSON(["a", "b", "c"].map((body) => ({ url, body, queueName: "orders" })));
    await qstash.idle();
    expect(received.map(({ body }) => body)).toEqual(['"a"', '"b"', '"c"']);
    expect((await client.queue().list()).map(({ name }) => name)).toEqual(["orders"]);
  });

  test("a deleted queue cancels what waited in it", async () => {
    const { client, qstash, advance } = await startQStash();
    const { url, received } = await startDestination();
    const queue = client.queue({ queueName: "orders" });
    await queue.upsert({ paused: true });
    await queue.enqueueJSON({ url, body: 1 });
    await queue.delete();
    await advance(1000);
    expect(received).toHaveLength(0);
    expect(qstash.stats().cancelled).toBe(1);
    await expect(queue.get()).rejects.toMatchObject({ status: 404 });
  });

  test("a bad queue name is refused", async () => {
    const { client } = await startQStash();
    await expect(client.queue({ queueName: "a b" }).upsert({ parallelism: 1 })).rejects.toMatchObject({ status: 400 });
  });
});

describe("flow control", () => {
  test("no more messages of a key are in flight than its parallelism allows", async () => {
    const { client, qstash } = await startQStash();
    const open = deferred<object>();
    const two = deferred<void>();
    const { url, received } = await startDestination((_request, index) => {
      if (index === 1) two.resolve();
      return open.promise;
    });
    const flowControl = { key: "shop", parallelism: 2 };
    await client.batch(Array.from({ length: 5 }, () => ({ url, flowControl })));
    await two.promise;
    expect(await client.flowControl.get("shop")).toMatchObject({
      flowControlKey: "shop",
      waitListSize: 3,
      parallelismMax: 2,
      parallelismCount: 2,
      rateMax: 0,
      isPaused: false,
      isPinnedParallelism: false,
      isPinnedRate: false,
    });
    open.resolve({});
    await qstash.idle();
    expect(received).toHaveLength(5);
  });

  test("no more messages of a key start in a period than its rate allows", async () => {
    const { client, advance, clock } = await startQStash();
    const { url, received } = await startDestination(undefined, clock.now);
    const start = clock.now();
    const flowControl = { key: "shop", rate: 2, period: "1m" } as const;
    await client.batch(Array.from({ length: 5 }, () => ({ url, flowControl })));
    await advance(600_000);
    expect(received.map(({ time }) => time - start)).toEqual([0, 0, 60_000, 60_000, 120_000]);
  });

  test("a paused key holds its messages back until it is resumed", async () => {
    const { client, qstash } = await startQStash();
    const { url, received } = await startDestination();
    await client.flowControl.pause("shop");
    await client.publish({ url, flowControl: { key: "shop", parallelism: 5 } });
    await qstash.idle();
    expect(received).toHaveLength(0);
    expect(await client.flowControl.get("shop")).toMatchObject({ isPaused: true, waitListSize: 1 });
    await client.flowControl.resume("shop");
    await qstash.idle();
    expect(received).toHaveLength(1);
  });

  test("a pinned limit outlasts what messages carry, until it is unpinned", async () => {
    const { client } = await startQStash();
    const { url } = await startDestination();
    await client.flowControl.pin("shop", { parallelism: 1, rate: 3, period: 60 });
    await client.publish({ url, flowControl: { key: "shop", parallelism: 9, rate: 9 } });
    expect(await client.flowControl.get("shop")).toMatchObject({ parallelismMax: 1, rateMax: 3, ratePeriod: 60 });
    await client.flowControl.unpin("shop", { parallelism: true, rate: true });
    await client.publish({ url, flowControl: { key: "shop", parallelism: 9, rate: 9 } });
    expect(await client.flowControl.get("shop")).toMatchObject({ parallelismMax: 9, rateMax: 9, ratePeriod: 1 });
  });

  test("resetting the rate starts a new period at once", async () => {
    const { client, qstash } = await startQStash();
    const { url, received } = await startDestination();
    const flowControl = { key: "shop", rate: 1, period: "1h" } as const;
    await client.batch([
      { url, flowControl },
      { url, flowControl },
    ]);
    await qstash.idle();
    expect(received).toHaveLength(1);
    await client.flowControl.resetRate("shop");
    await qstash.idle();
    expect(received).toHaveLength(2);
  });

  test("an unknown key is 404", async () => {
    const { client } = await startQStash();
    await expect(client.flowControl.get("nobody")).rejects.toMatchObject({ status: 404 });
  });
});
