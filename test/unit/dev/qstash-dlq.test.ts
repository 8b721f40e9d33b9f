import type { Client } from "@upstash/qstash";
import { describe, expect, test } from "vitest";
import { failing, type Harness, startDestination, startQStash } from "./qstash-harness.ts";

async function bury(client: Client, qstash: Harness["qstash"], url: string, labels: readonly string[]): Promise<void> {
  for (const label of labels) {
    await client.publishJSON({ url: `${url}/${label}`, body: { label }, retries: 0, label });
    await qstash.idle();
  }
}

describe("the dead-letter queue", () => {
  test("a dead letter shows its message and the last response", async () => {
    const { client, qstash } = await startQStash();
    const reply = { status: 418, headers: { "x-why": "teapot" }, body: "short and stout" };
    const { url } = await startDestination(() => reply);
    const { messageId } = await client.publishJSON({ url, body: { a: 1 }, retries: 0, label: ["x", "y"] });
    await qstash.idle();
    const { messages, cursor } = await client.dlq.listMessages();
    expect(cursor).toBeUndefined();
    expect(messages).toMatchObject([
      {
        messageId,
        url,
        body: '{"a":1}',
        labels: ["x", "y"],
        dlqId: expect.stringMatching(/^\d+-\d+$/),
        responseStatus: 418,
        responseBody: "short and stout",
        responseHeader: { "X-Why": ["teapot"] },
      },
    ]);
  });

  test("bodies that are no text come as base64", async () => {
    const { client, qstash } = await startQStash();
    const { url } = await startDestination(() => ({ status: 500 }));
    await client.publish({ url, body: new Blob([new Uint8Array([0xff, 0x00, 0xfe])]), retries: 0 });
    await qstash.idle();
    const [letter] = (await client.dlq.listMessages()).messages;
    expect(letter).toMatchObject({ bodyBase64: "/wD+" });
    expect(letter).not.toHaveProperty("body");
  });

  test("a listing goes through pages, newest first, without a cursor on the last one", async () => {
    const { client, qstash } = await startQStash();
    const { url } = await startDestination(() => ({ status: 500 }));
    await bury(client, qstash, url, ["a", "b", "c"]);
    const first = await client.dlq.listMessages({ count: 2 });
    expect(first.messages.map(({ label }) => label)).toEqual(["c", "b"]);
    const last = await client.dlq.listMessages({ count: 2, ...(first.cursor ? { cursor: first.cursor } : {}) });
    expect(last.messages.map(({ label }) => label)).toEqual(["a"]);
    expect(last.cursor).toBeUndefined();
  });

  test("filters combine: any value of one, and all of them", async () => {
    const { client, qstash } = await startQStash();
    const { url } = await startDestination(({ path }) => ({ status: path === "/c" ? 404 : 500 }));
    await bury(client, qstash, url, ["a", "b", "c"]);
    const labels = async (filter: object): Promise<unknown> =>
      (await client.dlq.listMessages({ filter })).messages.map(({ label }) => label);
    expect(await labels({ label: ["a", "c"] })).toEqual(["c", "a"]);
    expect(await labels({ label: "a,b" })).toEqual(["b", "a"]);
    expect(await labels({ label: ["a", "c"], responseStatus: 404 })).toEqual(["c"]);
    expect(await labels({ url: `${url}/b` })).toEqual(["b"]);
    expect(await labels({ fromDate: Date.now() + 3_600_000 })).toEqual([]);
    expect(await labels({ toDate: Date.now() + 3_600_000 })).toHaveLength(3);
  });

  test("filters by host and path are refused", async () => {
    const { qstash, url } = await startQStash();
    const headers = { authorization: `Bearer ${qstash.token}` };
    const response = await fetch(`${url}/v2/dlq?host=127.0.0.1`, { headers });
    expect(response.status).toBe(400);
  });

  test("a deleted dead letter is gone, and a second deletion is 404", async () => {
    const { client, qstash } = await startQStash();
    const { url } = await startDestination(() => ({ status: 500 }));
    await bury(client, qstash, url, ["a"]);
    const { dlqId = "" } = (await client.dlq.listMessages()).messages[0] ?? {};
    expect(await client.dlq.delete(dlqId)).toEqual({ deleted: 1 });
    await expect(client.dlq.delete(dlqId)).rejects.toMatchObject({ status: 404 });
    expect((await client.dlq.listMessages()).messages).toEqual([]);
  });

  test("dead letters are deleted by ids, by filter, and all at once", async () => {
    const { client, qstash } = await startQStash();
    const { url } = await startDestination(() => ({ status: 500 }));
    await bury(client, qstash, url, ["a", "b", "c", "d"]);
    const { messages } = await client.dlq.listMessages();
    expect(await client.dlq.delete([messages[0]?.dlqId ?? "", "1-1"])).toMatchObject({ deleted: 1 });
    expect(await client.dlq.delete({ filter: { label: "a" } })).toMatchObject({ deleted: 1 });
    expect(await client.dlq.delete({ all: true })).toMatchObject({ deleted: 2 });
  });

  test("a redrive publishes the same message under a new id and removes the dead letter", async () => {
    const { client, qstash } = await startQStash();
    const { url, received } = await startDestination(failing(1));
    const published = await client.publishJSON({
      url,
      body: { a: 1 },
      retries: 0,
      label: "red",
      deduplicationId: "once",
      headers: { "x-a": "1" },
    });
    await qstash.idle();
    const { dlqId = "" } = (await client.dlq.listMessages()).messages[0] ?? {};
    const { responses, cursor } = await client.dlq.retry(dlqId);
    expect(cursor).toBeUndefined();
    expect(responses).toEqual([{ messageId: expect.not.stringMatching(published.messageId) }]);
    await qstash.idle();
    expect(received[1]).toMatchObject({ body: '{"a":1}' });
    expect(received[1]?.headers).toMatchObject({ "x-a": "1", "upstash-retried": "0" });
    expect((await client.dlq.listMessages()).messages).toEqual([]);
    await expect(client.dlq.retry(dlqId)).rejects.toMatchObject({ status: 404 });
  });

  test("a redrive can change the configuration", async () => {
    const { qstash, url: api, client, advance } = await startQStash();
    const { url, received } = await startDestination(failing(2));
    await bury(client, qstash, url, ["a"]);
    const { dlqId = "" } = (await client.dlq.listMessages()).messages[0] ?? {};
    const headers = { authorization: `Bearer ${qstash.token}`, "upstash-retries": "1", "upstash-retry-delay": "5000" };
    const response = await fetch(`${api}/v2/dlq/retry/${dlqId}`, { method: "POST", headers });
    expect(response.status).toBe(201);
    await advance(5000);
    expect(received).toHaveLength(3);
    expect(qstash.stats().delivered).toBe(1);
  });

  test("all dead letters of a label are redriven at once", async () => {
    const { client, qstash } = await startQStash();
    const { url, received } = await startDestination(failing(3));
    await bury(client, qstash, url, ["a", "b", "c"]);
    const { responses } = await client.dlq.retry({ filter: { label: ["a", "b"] } });
    expect(responses).toHaveLength(2);
    await qstash.idle();
    expect(received).toHaveLength(5);
    expect((await client.dlq.listMessages()).messages.map(({ label }) => label)).toEqual(["c"]);
  });
});
