import { Client } from "@upstash/qstash";
import { describe, expect, test } from "vitest";
import { startDestination, startQStash } from "./qstash-harness.ts";

const json = { "content-type": "application/json" };

describe("publishing", () => {
  test("a published message reaches its destination with body, content type and forwarded headers", async () => {
    const { client, qstash } = await startQStash();
    const { url, received } = await startDestination();
    const { messageId } = await client.publishJSON({
      url: `${url}/orders?id=7`,
      body: { cents: 100 },
      headers: { "x-trace": "abc" },
    });
    await qstash.idle();
    expect(received).toHaveLength(1);
    expect(received[0]).toMatchObject({ method: "POST", path: "/orders?id=7", body: '{"cents":100}' });
    expect(received[0]?.headers).toMatchObject({
      "content-type": "application/json",
      "x-trace": "abc",
      "user-agent": "Upstash-QStash",
      "upstash-message-id": messageId,
      "upstash-retried": "0",
      "upstash-caller-ip": "127.0.0.1",
    });
  });

  test("the destination's path and query arrive as they were written", async () => {
    const { client, qstash } = await startQStash();
    const { url, received } = await startDestination();
    await client.publish({ url: `${url}//first/%2Fsecond?a=%20b&c=d+e&a=2` });
    await qstash.idle();
    expect(received[0]?.path).toBe("//first/%2Fsecond?a=%20b&c=d+e&a=2");
  });

  test("the method is the one asked for, and a GET carries no body", async () => {
    const { client, qstash } = await startQStash();
    const { url, received } = await startDestination();
    await client.publish({ url, method: "GET", body: "ignored" });
    await client.publish({ url, method: "PUT", body: "kept" });
    await qstash.idle();
    expect(received.map(({ method, body }) => `${method} ${body}`).sort()).toEqual(["GET ", "PUT kept"]);
  });

  test("configuration in the query works like headers and does not reach the destination", async () => {
    const { qstash, url: api } = await startQStash();
    const { url, received } = await startDestination();
    const query = `keep=1&upstash-retries=0&upstash-forward-x-hook=yes&qstash_token=${qstash.token}`;
    const response = await fetch(`${api}/v2/publish/${url}/hook?${query}`, { method: "POST", body: "raw" });
    expect(response.status).toBe(200);
    await qstash.idle();
    expect(received[0]?.path).toBe("/hook?keep=1");
    expect(received[0]?.headers["x-hook"]).toBe("yes");
  });

  test("all headers are forwarded when asked for, credentials excepted", async () => {
    const { qstash, url: api } = await startQStash();
    const { url, received } = await startDestination();
    await fetch(`${api}/v2/publish/${url}`, {
      method: "POST",
      headers: { authorization: `Bearer ${qstash.token}`, "upstash-header-forward": "true", "x-github-event": "push" },
    });
    await qstash.idle();
    expect(received[0]?.headers["x-github-event"]).toBe("push");
    expect(received[0]?.headers.authorization).toBeUndefined();
    expect(received[0]?.headers["upstash-header-forward"]).toBeUndefined();
  });

  test("a pending message can be read, a delivered one is gone", async () => {
    const { client, advance } = await startQStash();
    const { url } = await startDestination();
    const { messageId } = await client.publishJSON({
      url,
      body: { a: 1 },
      delay: 60,
      headers: { "bypass-tunnel-reminder": "x" },
      label: ["red", "blue"],
    });
    const message = await client.messages.get(messageId);
    expect(message).toMatchObject({
      messageId,
      url,
      method: "POST",
      body: '{"a":1}',
      maxRetries: 3,
      label: "red",
      labels: ["red", "blue"],
    });
    expect(message.header).toEqual({ "Bypass-Tunnel-Reminder": ["x"], "Content-Type": ["application/json"] });
    await advance(60_000);
    await expect(client.messages.get(messageId)).rejects.toMatchObject({ status: 404 });
  });

  test("redacted fields are hashes in the API and themselves at the destination", async () => {
    const { client, advance } = await startQStash();
    const { url, received } = await startDestination();
    const { messageId } = await client.publish({
      url,
      body: "secret",
      delay: 1,
      headers: { "x-key": "k", "x-open": "o" },
      redact: { body: true, header: ["x-key"] },
    });
    const message = await client.messages.get(messageId);
    expect(message.body).toMatch(/^REDACTED:[0-9a-f]{64}$/);
    expect(message.header?.["X-Key"]?.[0]).toMatch(/^REDACTED:/);
    expect(message.header?.["X-Open"]).toEqual(["o"]);
    await advance(1000);
    expect(received[0]?.body).toBe("secret");
    expect(received[0]?.headers["x-key"]).toBe("k");
  });
});

describe("refusals", () => {
  test("a wrong token is refused with 401", async () => {
    const { url } = await startQStash();
    const client = new Client({ baseUrl: url, token: "wrong", enableTelemetry: false });
    const error = { status: 401, message: '{"error":"unable to authenticate: invalid token"}' };
    await expect(client.publish({ url: "http://127.0.0.1:1" })).rejects.toMatchObject(error);
  });

  test.each([
    ["a destination without a scheme", "example.com"],
    ["a percent-encoded destination", encodeURIComponent("http://127.0.0.1:1")],
  ])("%s is refused with the documented text", async (_case, url) => {
    const { client } = await startQStash();
    await expect(client.publish({ url })).rejects.toThrow(
      "invalid destination url: endpoint has invalid scheme, add http:// or https://",
    );
  });

  test.each(["https://example.com", "http://192.168.0.1/", "http://169.254.169.254/", "http://127.0.0.1.example.com"])(
    "a destination outside this machine is refused: %s",
    async (url) => {
      const { client } = await startQStash();
      await expect(client.publish({ url })).rejects.toMatchObject({ status: 400 });
      await expect(client.publish({ url: "http://127.0.0.1:1", callback: url })).rejects.toMatchObject({ status: 400 });
    },
  );

  test("a colon in a deduplication id is refused with the documented text", async () => {
    const { client } = await startQStash();
    await expect(client.publish({ url: "http://127.0.0.1:1", deduplicationId: "a:b" })).rejects.toMatchObject({
      status: 400,
      message: `{"error":"DeduplicationId cannot contain ':'"}`,
    });
  });

  test("more retries than the plan allows are refused", async () => {
    const { client } = await startQStash();
    await expect(client.publish({ url: "http://127.0.0.1:1", retries: 6 })).rejects.toMatchObject({
      status: 412,
      message: '{"error":"quota maxRetries exceeded"}',
    });
  });

  test("a longer delay than the plan allows is refused", async () => {
    const { client } = await startQStash();
    await expect(client.publish({ url: "http://127.0.0.1:1", delay: "8d" })).rejects.toThrow(
      "quota maxDelay exceeded, current limit: 604800",
    );
  });

  test("a message above the size limit is refused with 413", async () => {
    const { client } = await startQStash({ maxMessageBytes: 10 });
    await expect(client.publish({ url: "http://127.0.0.1:1", body: "x".repeat(11) })).rejects.toMatchObject({
      status: 413,
    });
  });

  test.each([
    ["Upstash-Retries", "many"],
    ["Upstash-Delay", "soon"],
    ["Upstash-Timeout", "5"],
    ["Upstash-Not-Before", "tomorrow"],
    ["Upstash-Retry-Delay", "fetch(1)"],
    ["Upstash-Flow-Control-Key", "alone"],
  ])("an unreadable %s is refused with 400", async (name, value) => {
    const { client } = await startQStash();
    await expect(client.publish({ url: "http://127.0.0.1:1", headers: { [name]: value } })).rejects.toMatchObject({
      status: 400,
    });
  });

  test("a delayed callback is refused", async () => {
    const { client } = await startQStash();
    const request = { url: "http://127.0.0.1:1", callback: "http://127.0.0.1:2" };
    await expect(client.publish({ ...request, headers: { "Upstash-Callback-Delay": "5s" } })).rejects.toMatchObject({
      status: 400,
    });
  });

  test("an unknown endpoint is 404", async () => {
    const { qstash, url } = await startQStash();
    const response = await fetch(`${url}/v2/unknown`, { headers: { authorization: `Bearer ${qstash.token}` } });
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({ error: "no endpoint for GET /v2/unknown" });
  });
});

describe("deduplication", () => {
  test("a duplicate within the window answers 202 with the old message id, and is not delivered", async () => {
    const { client, qstash, url: api } = await startQStash();
    const { url, received } = await startDestination();
    const { messageId } = await client.publish({ url, deduplicationId: "order-1" });
    const response = await fetch(`${api}/v2/publish/${url}`, {
      method: "POST",
      headers: { authorization: `Bearer ${qstash.token}`, "upstash-deduplication-id": "order-1" },
    });
    expect(response.status).toBe(202);
    expect(await response.json()).toEqual({ messageId, deduplicated: true });
    await qstash.idle();
    expect(received).toHaveLength(1);
    expect(qstash.stats()).toMatchObject({ published: 1, deduplicated: 1, attempts: 1 });
  });

  test("the same id is a new message once the window has passed", async () => {
    const { client, advance } = await startQStash();
    const { url, received } = await startDestination();
    const first = await client.publish({ url, deduplicationId: "order-1" });
    await advance(10 * 60_000 - 1);
    expect(await client.publish({ url, deduplicationId: "order-1" })).toMatchObject({ deduplicated: true });
    await advance(1);
    const second = await client.publish({ url, deduplicationId: "order-1" });
    expect(second.messageId).not.toBe(first.messageId);
    await advance(0);
    expect(received).toHaveLength(2);
  });

  test("content-based deduplication compares destination, body and forwarded headers", async () => {
    const { client } = await startQStash();
    const { url } = await startDestination();
    const base = { url, body: "same", contentBasedDeduplication: true };
    const { messageId } = await client.publish(base);
    expect(await client.publish(base)).toEqual({ messageId, deduplicated: true });
    expect(await client.publish({ ...base, body: "other" })).not.toHaveProperty("deduplicated");
    expect(await client.publish({ ...base, url: `${url}/other` })).not.toHaveProperty("deduplicated");
    expect(await client.publish({ ...base, headers: { "x-a": "1" } })).not.toHaveProperty("deduplicated");
  });
});

describe("batches", () => {
  test("a batch answers for each item in order, and one bad item does not stop the others", async () => {
    const { client, qstash } = await startQStash();
    const { url, received } = await startDestination();
    const results = await client.batchJSON([
      { url: `${url}/a`, body: { n: 1 } },
      { url: `${url}/b`, body: { n: 2 }, deduplicationId: "x:y" },
      { url: `${url}/c`, body: { n: 3 } },
    ]);
    expect(results).toEqual([
      { messageId: expect.stringMatching(/^msg_/) },
      { error: "DeduplicationId cannot contain ':'" },
      { messageId: expect.stringMatching(/^msg_/) },
    ]);
    await qstash.idle();
    expect(received.map(({ path, body }) => `${path} ${body}`).sort()).toEqual(['/a {"n":1}', '/c {"n":3}']);
  });

  test("an item with an impossible header fails alone", async () => {
    const { qstash, url: api } = await startQStash();
    const { url } = await startDestination();
    const response = await fetch(`${api}/v2/batch`, {
      method: "POST",
      headers: { ...json, authorization: `Bearer ${qstash.token}` },
      body: JSON.stringify([{ destination: url, headers: { "x y": "1" } }, { destination: url }, 7]),
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual([
      { error: 'invalid batch item: "x y" is no valid header' },
      { messageId: expect.any(String) },
      { error: "invalid batch item: expected an object with a destination" },
    ]);
  });

  test("a batch of which every item fails answers 400 with the errors", async () => {
    const { client } = await startQStash();
    await expect(client.batch([{ url: "nowhere" }])).rejects.toMatchObject({
      status: 400,
      message: expect.stringMatching(/^\[\{"error":"invalid destination url/),
    });
  });

  test("an item for a URL group answers with a nested array", async () => {
    const { client, qstash } = await startQStash();
    const { url } = await startDestination();
    await client.urlGroups.addEndpoints({ name: "shops", endpoints: [{ url: `${url}/1` }, { url: `${url}/2` }] });
    const results = await client.batch([{ url }, { urlGroup: "shops" }]);
    expect(results).toEqual([
      { messageId: expect.any(String) },
      [
        { messageId: expect.any(String), url: `${url}/1` },
        { messageId: expect.any(String), url: `${url}/2` },
      ],
    ]);
    await qstash.idle();
    expect(qstash.stats().delivered).toBe(3);
  });
});

describe("URL groups", () => {
  test("a message to a group becomes a message to each endpoint, with the group's name", async () => {
    const { client, qstash } = await startQStash();
    const { url, received } = await startDestination();
    await client.urlGroups.addEndpoints({
      name: "shops",
      endpoints: [{ url: `${url}/1`, name: "one" }, { url: `${url}/2` }],
    });
    const results = await client.publish({ urlGroup: "shops", body: "hi", deduplicationId: "once" });
    expect(results).toHaveLength(2);
    expect(await client.publish({ urlGroup: "shops", body: "hi", deduplicationId: "once" })).toEqual(
      results.map((result) => ({ ...result, deduplicated: true })),
    );
    await qstash.idle();
    expect(received.map(({ path }) => path).sort()).toEqual(["/1", "/2"]);
    expect(received[0]?.headers["upstash-topic-name"]).toBe("shops");
  });

  test("groups can be listed, read, shrunk and deleted; the last endpoint takes its group along", async () => {
    const { client } = await startQStash();
    const endpoints = [{ url: "http://127.0.0.1:1/a", name: "a" }, { url: "http://127.0.0.1:1/b" }];
    await client.urlGroups.addEndpoints({ name: "g", endpoints });
    expect((await client.urlGroups.list()).map(({ name }) => name)).toEqual(["g"]);
    await client.urlGroups.removeEndpoints({ name: "g", endpoints: [{ name: "a" }] });
    expect((await client.urlGroups.get("g")).endpoints).toEqual([{ url: "http://127.0.0.1:1/b" }]);
    await client.urlGroups.removeEndpoints({ name: "g", endpoints: [{ url: "http://127.0.0.1:1/b" }] });
    await expect(client.urlGroups.get("g")).rejects.toMatchObject({ status: 404 });
    await client.urlGroups.addEndpoints({ name: "g", endpoints });
    await client.urlGroups.delete("g");
    expect(await client.urlGroups.list()).toEqual([]);
  });

  test("default headers of a group apply where the publisher sets none", async () => {
    const { qstash, client, url: api } = await startQStash();
    const { url, received } = await startDestination();
    await client.urlGroups.addEndpoints({ name: "g", endpoints: [{ url }] });
    const defaults = { headers: { "Upstash-Forward-X-A": ["1"], "Upstash-Forward-X-B": "1" } };
    await fetch(`${api}/v2/topics/g`, {
      method: "PATCH",
      headers: { ...json, authorization: `Bearer ${qstash.token}` },
      body: JSON.stringify(defaults),
    });
    await client.publish({ urlGroup: "g", headers: { "x-b": "2" } });
    await qstash.idle();
    expect(received[0]?.headers).toMatchObject({ "x-a": "1", "x-b": "2" });
  });
});
