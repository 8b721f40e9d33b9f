import { describe, expect, test } from "vitest";
import { failing, startDestination, startQStash } from "./qstash-harness.ts";

describe("logs", () => {
  test("the log tells the whole story of a message, newest first", async () => {
    const { client, advance, clock } = await startQStash();
    const { url } = await startDestination(failing(1, { status: 503, body: "busy" }));
    const { messageId } = await client.publishJSON({ url, body: { a: 1 }, label: ["x", "y"] });
    const start = clock.now();
    await advance(12_000);
    const { logs, cursor } = await client.logs();
    expect(cursor).toBeUndefined();
    expect(logs.map(({ state }) => state)).toEqual(["DELIVERED", "ACTIVE", "RETRY", "ERROR", "ACTIVE", "CREATED"]);
    expect(logs[2]).toMatchObject({ nextDeliveryTime: start + 12_000 });
    expect(logs[3]).toMatchObject({
      messageId,
      url,
      responseStatus: 503,
      responseBody: btoa("busy"),
      body: btoa('{"a":1}'),
      header: { "Content-Type": ["application/json"] },
      label: "x",
      labels: ["x", "y"],
      maxRetries: 3,
      timeout: 900_000,
    });
    expect(logs[0]).not.toHaveProperty("responseStatus");
  });

  test("filters by state, label, id, url, host and path find what they name", async () => {
    const { client, qstash } = await startQStash();
    const { url } = await startDestination(({ path }) => ({ status: path === "/bad" ? 500 : 200 }));
    const a = await client.publish({ url: `${url}/good`, label: "red" });
    const b = await client.publish({ url: `${url}/bad`, label: ["blue", "green"], retries: 0 });
    await qstash.idle();
    const ids = async (filter: object): Promise<string[]> => {
      const { logs } = await client.logs({ filter });
      return [...new Set(logs.map(({ messageId }) => messageId))];
    };
    expect(await ids({ state: "DELIVERED" })).toEqual([a.messageId]);
    expect(await ids({ state: "FAILED" })).toEqual([b.messageId]);
    expect(await ids({ label: "green" })).toEqual([b.messageId]);
    expect((await ids({ label: ["red", "blue"] })).sort()).toEqual([a.messageId, b.messageId].sort());
    expect(await ids({ messageId: a.messageId })).toEqual([a.messageId]);
    expect(await ids({ url: `${url}/bad` })).toEqual([b.messageId]);
    expect(await ids({ host: new URL(url).host, path: "/good" })).toEqual([a.messageId]);
    expect(await ids({ host: "elsewhere" })).toEqual([]);
    const { logs } = await client.logs({ messageIds: [a.messageId] });
    expect(logs.map(({ state }) => state)).toEqual(["DELIVERED", "ACTIVE", "CREATED"]);
  });

  test("IN_PROGRESS stands for ACTIVE, RETRY and ERROR", async () => {
    const { client, qstash, url: api } = await startQStash();
    const { url } = await startDestination(() => ({ status: 500 }));
    await client.publish({ url });
    await qstash.idle();
    const headers = { authorization: `Bearer ${qstash.token}` };
    const response = await fetch(`${api}/v2/logs?state=IN_PROGRESS&order=earliestFirst`, { headers });
    expect(await response.json()).toMatchObject({
      logs: [{ state: "ACTIVE" }, { state: "ERROR" }, { state: "RETRY" }],
    });
  });

  test("dates bound the log on both sides, inclusively", async () => {
    const { client, advance, clock } = await startQStash();
    const { url } = await startDestination();
    const times: number[] = [];
    for (const path of ["/1", "/2", "/3"]) {
      times.push(clock.now());
      await client.publish({ url: `${url}${path}` });
      await advance(1000);
    }
    const [, second] = times;
    const filter = { fromDate: second ?? 0, toDate: new Date(second ?? 0), state: "CREATED" } as const;
    expect((await client.logs({ filter })).logs.map(({ url: found }) => found)).toEqual([`${url}/2`]);
  });

  test("pages follow each other by cursor, also when entries arrive in between", async () => {
    const { client, qstash } = await startQStash();
    const { url } = await startDestination();
    for (let n = 0; n < 5; n += 1) await client.publish({ url: `${url}/${n}` });
    await qstash.idle();
    const filter = { state: "CREATED" } as const;
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await client.logs({ count: 2, filter, ...(cursor === undefined ? {} : { cursor }) });
      seen.push(...page.logs.map((log) => new URL(log.url).pathname));
      cursor = page.cursor;
      await client.publish({ url: `${url}/later` });
    } while (cursor !== undefined);
    expect(seen).toEqual(["/4", "/3", "/2", "/1", "/0"]);
  });

  test("the oldest entries make room for new ones", async () => {
    const { client, qstash } = await startQStash({ maxEvents: 6 });
    const { url } = await startDestination();
    for (let n = 0; n < 20; n += 1) {
      await client.publish({ url: `${url}/${n}` });
      await qstash.idle();
    }
    const { logs } = await client.logs();
    expect(logs.map((log) => `${new URL(log.url).pathname} ${log.state}`)).toEqual(
      ["/19", "/18"].flatMap((path) => [`${path} DELIVERED`, `${path} ACTIVE`, `${path} CREATED`]),
    );
  });
});
