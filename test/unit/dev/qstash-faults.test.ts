import { Client, QstashRatelimitError } from "@upstash/qstash";
import { expect, test, vi } from "vitest";
import type { Fault } from "../../../adapters/dev/qstash/index.ts";
import { startDestination, startQStash } from "./qstash-harness.ts";

/** Injects the faults one after the other, then none. */
const sequence = (...faults: Fault[]): (() => Fault | undefined) => {
  const left = [...faults];
  return () => left.shift();
};

test("a lost reply hides a message that was accepted", async () => {
  const { url: api, qstash } = await startQStash({ faults: sequence({ status: "lost", applied: true }) });
  const { url, received } = await startDestination();
  const client = new Client({ baseUrl: api, token: qstash.token, retry: false, enableTelemetry: false });
  await expect(client.publish({ url })).rejects.toThrow("fetch failed");
  await qstash.idle();
  expect(received).toHaveLength(1);
});

test("the SDK repeats a request whose reply is lost, and a deduplication id makes it one message", async () => {
  vi.spyOn(console, "warn").mockImplementation(() => {});
  const { url: api, qstash } = await startQStash({ faults: sequence({ status: "lost", applied: true }) });
  const { url, received } = await startDestination();
  const retry = { retries: 1, backoff: () => 0 };
  const client = new Client({ baseUrl: api, token: qstash.token, retry, enableTelemetry: false });
  const result = await client.publish({ url, deduplicationId: "once" });
  expect(result).toEqual({ messageId: expect.any(String), deduplicated: true });
  await qstash.idle();
  expect(received).toHaveLength(1);
});

test("a request that is lost on its way has no effect", async () => {
  const { url: api, qstash } = await startQStash({ faults: sequence({ status: "lost", applied: false }) });
  const { url, received } = await startDestination();
  const client = new Client({ baseUrl: api, token: qstash.token, retry: false, enableTelemetry: false });
  await expect(client.publish({ url })).rejects.toThrow("fetch failed");
  await qstash.idle();
  expect(received).toHaveLength(0);
});

test("a rate limit is a typed error of the SDK, and nothing is accepted", async () => {
  const headers = { "Burst-RateLimit-Limit": "100", "Burst-RateLimit-Remaining": "0", "Burst-RateLimit-Reset": "7" };
  const { client, qstash } = await startQStash({ faults: sequence({ status: 429, headers, applied: false }) });
  const error = await client.publish({ url: "http://127.0.0.1:1" }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(QstashRatelimitError);
  expect(error).toMatchObject({ limit: "100", remaining: "0", reset: "7" });
  expect(qstash.stats().published).toBe(0);
});

test("a 500 can hide a message that was accepted", async () => {
  const { client, qstash } = await startQStash({ faults: sequence({ status: 500, applied: true }) });
  const { url, received } = await startDestination();
  await expect(client.publish({ url })).rejects.toMatchObject({ status: 500 });
  await qstash.idle();
  expect(received).toHaveLength(1);
});

test("faults see the request, so that they can choose", async () => {
  const { client } = await startQStash({
    faults: (_request, { path, body }) =>
      path === "/v2/batch" && new TextDecoder().decode(body).includes("poison")
        ? { status: 503, applied: false }
        : undefined,
  });
  const { url } = await startDestination();
  await expect(client.batch([{ url, body: "poison" }])).rejects.toMatchObject({ status: 503 });
  expect(await client.batch([{ url, body: "fine" }])).toHaveLength(1);
});
