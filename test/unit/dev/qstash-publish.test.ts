import { describe, expect, test } from "vitest";
import { startDestination, startQStash } from "./qstash-harness.ts";

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
    });
  });

  test("the signature of a delivery verifies with the SDK's receiver, bound to the published URL", async () => {
    const { client, qstash, receiver } = await startQStash();
    const { url, received } = await startDestination();
    await client.publish({ url: `${url}/a//b?q=%2F`, body: "grüße" });
    await qstash.idle();
    const [request] = received;
    const signature = String(request?.headers["upstash-signature"]);
    await expect(
      receiver.verify({ signature, body: request?.body ?? "", url: `${url}/a//b?q=%2F` }),
    ).resolves.toBe(true);
    await expect(receiver.verify({ signature, body: "other" })).rejects.toThrow("body hash does not match");
  });
});
