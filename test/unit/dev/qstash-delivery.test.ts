import { Receiver } from "@upstash/qstash";
import { describe, expect, test } from "vitest";
import { deferred, failing, type Received, startDestination, startQStash } from "./qstash-harness.ts";

const waits = (received: readonly Received[]): number[] =>
  received.slice(1).map(({ time }, index) => time - (received[index]?.time ?? 0));

const YEAR = 365 * 86_400_000;

describe("signatures", () => {
  test("a delivery verifies with the SDK's receiver, bound to the published URL", async () => {
    const { client, qstash, receiver } = await startQStash();
    const { url, received } = await startDestination();
    await client.publish({ url: `${url}/a//b?q=%2F`, body: "grüße" });
    await qstash.idle();
    const [request] = received;
    const signature = String(request?.headers["upstash-signature"]);
    const body = request?.body ?? "";
    expect(await receiver.verify({ signature, body, url: `${url}/a//b?q=%2F` })).toBe(true);
    await expect(receiver.verify({ signature, body: "other" })).rejects.toThrow("body hash does not match");
    await expect(receiver.verify({ signature, body, url: `${url}/other` })).rejects.toThrow("invalid subject");
  });

  test("the claims are the documented ones", async () => {
    const { client, qstash, clock } = await startQStash();
    const { url, received } = await startDestination();
    await client.publish({ url, body: "x" });
    await qstash.idle();
    const [head = "", claims = ""] = String(received[0]?.headers["upstash-signature"]).split(".");
    const decode = (part: string): unknown => JSON.parse(Buffer.from(part, "base64url").toString());
    const issuedAt = Math.floor(clock.now() / 1000);
    expect(decode(head)).toEqual({ alg: "HS256", typ: "JWT" });
    expect(decode(claims)).toEqual({
      iss: "Upstash",
      sub: url,
      iat: issuedAt,
      exp: issuedAt + 300,
      nbf: 0,
      jti: expect.stringMatching(/^jwt_/),
      body: "LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE=",
    });
  });

  test("a rotation makes the next key the current one, and receivers of before still accept it", async () => {
    const { client, qstash, receiver, url: api } = await startQStash();
    const { url, received } = await startDestination();
    const before = qstash.signingKeys();
    const headers = { authorization: `Bearer ${qstash.token}` };
    await fetch(`${api}/v2/keys/rotate`, { method: "POST", headers });
    const after = await (await fetch(`${api}/v2/keys`, { headers })).json();
    expect(after).toEqual({ current: before.next, next: expect.stringMatching(/^sig_/) });
    await client.publish({ url, body: "x" });
    await qstash.idle();
    const signature = String(received[0]?.headers["upstash-signature"]);
    expect(await receiver.verify({ signature, body: "x", url })).toBe(true);
    const other = new Receiver({ currentSigningKey: before.current, nextSigningKey: before.current });
    await expect(other.verify({ signature, body: "x" })).rejects.toThrow("signature verification failed");
  });

  test("every attempt has its own token, fresh at its own time", async () => {
    const { client, advance, clock, receiver } = await startQStash();
    const { url, received } = await startDestination(failing(1), clock.now);
    await client.publish({ url, body: "x", retries: 1 });
    await advance(YEAR);
    const [first, second] = received.map(({ headers }) => String(headers["upstash-signature"]));
    expect(first).not.toBe(second);
    expect(await receiver.verify({ signature: second ?? "", body: "x" })).toBe(true);
  });
});

describe("retries", () => {
  test("a failing message is retried after 12s, 2m28s and 30m8s, then it is a dead letter", async () => {
    const { client, advance, clock, states } = await startQStash();
    const { url, received } = await startDestination(() => ({ status: 500 }), clock.now);
    const { messageId } = await client.publish({ url });
    await advance(YEAR);
    expect(waits(received)).toEqual([12_000, 148_000, 1_808_000]);
    expect(received.map(({ headers }) => headers["upstash-retried"])).toEqual(["0", "1", "2", "3"]);
    expect(states(messageId)).toEqual([
      "CREATED",
      ...Array.from({ length: 3 }, () => ["ACTIVE", "ERROR", "RETRY"]).flat(),
      "ACTIVE",
      "ERROR",
      "FAILED",
    ]);
    expect((await client.dlq.listMessages()).messages).toMatchObject([{ messageId, responseStatus: 500 }]);
  });

  test("the later retries wait 6h7m6s and a day at most", async () => {
    const { client, advance, clock } = await startQStash();
    const { url, received } = await startDestination(() => ({ status: 503 }), clock.now);
    await client.publish({ url, retries: 5 });
    await advance(YEAR);
    expect(waits(received).slice(3)).toEqual([22_026_000, 86_400_000]);
  });

  test.each([400, 401, 404, 302])("a %i is retried like any other failure", async (status) => {
    const { client, advance, clock } = await startQStash();
    const { url, received } = await startDestination(
      failing(1, { status, headers: { location: "http://127.0.0.1:1/" } }),
      clock.now,
    );
    await client.publish({ url });
    await advance(12_000);
    expect(received).toHaveLength(2);
  });

  test("a message that succeeds on a retry is delivered once and is no dead letter", async () => {
    const { client, advance, qstash } = await startQStash();
    const { url } = await startDestination(failing(2));
    await client.publish({ url });
    await advance(YEAR);
    expect(qstash.stats()).toMatchObject({ attempts: 3, delivered: 1, retried: 2, failed: 0 });
  });

  test.each([
    ["Retry-After", "90", 90_000],
    ["Retry-After", "1m30s", 90_000],
    ["X-RateLimit-Reset", "7", 7000],
    ["X-RateLimit-Reset-Requests", "250ms", 250],
    ["Retry-After", "0", 0],
    ["Retry-After", "90000", 12_000],
    ["X-RateLimit-Reset", "1893456000", 12_000],
    ["Retry-After", "later", 12_000],
  ])("a response with %s: %s is retried after %i ms", async (name, value, millis) => {
    const { client, advance, clock } = await startQStash();
    const { url, received } = await startDestination(
      failing(1, { status: 429, headers: { [name]: value } }),
      clock.now,
    );
    await client.publish({ url });
    await advance(YEAR);
    expect(waits(received)).toEqual([millis]);
  });

  test("Retry-After may be a date", async () => {
    const { client, advance, clock } = await startQStash();
    const until = Math.floor(clock.now() / 1000) * 1000 + 61_000;
    const headers = { "retry-after": new Date(until).toUTCString() };
    const { url, received } = await startDestination(failing(1, { status: 503, headers }), clock.now);
    await client.publish({ url });
    await advance(YEAR);
    expect(received[1]?.time).toBe(until);
  });

  test("a retry delay expression replaces the back-off", async () => {
    const { client, advance, clock } = await startQStash();
    const { url, received } = await startDestination(() => ({ status: 500 }), clock.now);
    await client.publish({ url, retryDelay: "max(1000, pow(2, retried) * 600)" });
    await advance(YEAR);
    expect(waits(received)).toEqual([1000, 1200, 2400]);
  });

  test("the time factor shortens every wait", async () => {
    const { client, advance, clock } = await startQStash({ timeFactor: 0.01 });
    const { url, received } = await startDestination(() => ({ status: 500 }), clock.now);
    await client.publish({ url, delay: 100 });
    const start = clock.now();
    await advance(YEAR);
    expect((received[0]?.time ?? 0) - start).toBe(1000);
    expect(waits(received)).toEqual([120, 1480, 18_080]);
  });

  test("489 with Upstash-NonRetryable-Error is a dead letter at once", async () => {
    const { client, qstash, states } = await startQStash();
    const headers = { "Upstash-NonRetryable-Error": "true" };
    const { url, received } = await startDestination(() => ({ status: 489, headers, body: "never" }));
    const { messageId } = await client.publish({ url, retries: 5 });
    await qstash.idle();
    expect(received).toHaveLength(1);
    expect(states(messageId)).toEqual(["CREATED", "ACTIVE", "ERROR", "FAILED"]);
    const { messages } = await client.dlq.listMessages();
    expect(messages).toMatchObject([{ messageId, responseStatus: 489, responseBody: "never", maxRetries: 5 }]);
  });

  test("489 without the header is retried", async () => {
    const { client, advance } = await startQStash();
    const { url, received } = await startDestination(failing(1, { status: 489 }));
    await client.publish({ url });
    await advance(12_000);
    expect(received).toHaveLength(2);
  });

  test("an unreachable destination is a failed delivery, retried and then a dead letter", async () => {
    const { client, advance, qstash, events } = await startQStash();
    const { messageId } = await client.publish({ url: "http://127.0.0.1:1/nobody", retries: 1 });
    await advance(YEAR);
    expect(qstash.stats()).toMatchObject({ attempts: 2, failed: 1 });
    expect(events.find(({ state }) => state === "ERROR")?.error).toBeTruthy();
    const { messages } = await client.dlq.listMessages();
    expect(messages[0]).toMatchObject({ messageId });
    expect(messages[0]).not.toHaveProperty("responseStatus");
  });

  test("a name that does not resolve is accepted, and is a failed delivery", async () => {
    const { client, qstash } = await startQStash({
      allowDestinations: () => true,
      fetch: () => Promise.reject(new TypeError("fetch failed", { cause: new Error("getaddrinfo ENOTFOUND") })),
    });
    await client.publish({ url: "https://nobody.invalid/", retries: 0 });
    await qstash.idle();
    expect((await client.dlq.listMessages()).messages[0]).toMatchObject({
      url: "https://nobody.invalid/",
      responseBody: "fetch failed: getaddrinfo ENOTFOUND",
    });
  });

  test("an attempt that takes longer than the timeout fails", async () => {
    const { client, clock, event } = await startQStash();
    const arrived = deferred<void>();
    const { url } = await startDestination(() => {
      arrived.resolve();
      return new Promise(() => {});
    });
    await client.publish({ url, timeout: "5s", retries: 0 });
    await arrived.promise;
    await clock.advance(4999);
    expect((await client.dlq.listMessages()).messages).toEqual([]);
    await clock.advance(1);
    await event(({ state }) => state === "FAILED");
    expect((await client.dlq.listMessages()).messages[0]).toMatchObject({ responseBody: "no response within 5000 ms" });
  });
});

describe("waiting", () => {
  test("a delayed message goes out when its delay is over", async () => {
    const { client, advance, clock } = await startQStash();
    const { url, received } = await startDestination(undefined, clock.now);
    const start = clock.now();
    await client.publish({ url, headers: { "Upstash-Delay": "1h30m" } });
    await advance(2 * 3_600_000);
    expect(received.map(({ time }) => time - start)).toEqual([5_400_000]);
  });

  test("not-before names the moment and wins over a delay", async () => {
    const { client, advance, clock } = await startQStash();
    const { url, received } = await startDestination(undefined, clock.now);
    const seconds = Math.floor(clock.now() / 1000) + 30;
    await client.publish({ url, notBefore: seconds, delay: 5 });
    await client.publish({ url, notBefore: seconds - 3600 });
    await advance(60_000);
    expect(received.map(({ time }) => time)).toEqual([expect.any(Number), seconds * 1000]);
    expect(received[0]?.time).toBeLessThan(seconds * 1000);
  });

  test("no more deliveries are in flight than the concurrency allows", async () => {
    const { client, qstash } = await startQStash({ maxConcurrency: 2 });
    const open = deferred<object>();
    const two = deferred<void>();
    const { url, received } = await startDestination((_request, index) => {
      if (index === 1) two.resolve();
      return open.promise;
    });
    await client.batch(Array.from({ length: 8 }, () => ({ url })));
    await two.promise;
    expect(await client.flowControl.getGlobalParallelism()).toEqual({ parallelismMax: 2, parallelismCount: 2 });
    expect(received).toHaveLength(2);
    open.resolve({});
    await qstash.idle();
    expect(received).toHaveLength(8);
    expect(await client.flowControl.getGlobalParallelism()).toEqual({ parallelismMax: 2, parallelismCount: 0 });
  });
});

describe("cancelling", () => {
  test("a cancelled message is not delivered, and a second cancellation is 404", async () => {
    const { client, advance, states } = await startQStash();
    const { url, received } = await startDestination();
    const { messageId } = await client.publish({ url, delay: 10 });
    expect(await client.messages.cancel(messageId)).toEqual({ cancelled: 1 });
    await expect(client.messages.cancel(messageId)).rejects.toMatchObject({ status: 404 });
    await advance(10_000);
    expect(received).toHaveLength(0);
    expect(states(messageId)).toEqual(["CREATED", "CANCEL_REQUESTED", "CANCELLED"]);
  });

  test("cancelling by ids counts those that were pending", async () => {
    const { client } = await startQStash();
    const { url } = await startDestination();
    const a = await client.publish({ url, delay: 10 });
    const b = await client.publish({ url, delay: 10 });
    expect(await client.messages.cancel([a.messageId, b.messageId, "msg_unknown"])).toEqual({ cancelled: 2 });
  });

  test("cancelling by filter takes all that match and leaves the others", async () => {
    const { client } = await startQStash();
    const { url } = await startDestination();
    await client.publish({ url: `${url}/x`, delay: 10, label: "red" });
    await client.publish({ url: `${url}/y`, delay: 10, label: ["blue", "green"] });
    await client.publish({ url: `${url}/y`, delay: 10 });
    expect(await client.messages.cancel({ filter: { label: ["red", "green"] } })).toEqual({ cancelled: 2 });
    expect(await client.messages.cancel({ filter: { path: "/x" } })).toEqual({ cancelled: 0 });
    expect(await client.messages.cancel({ all: true })).toEqual({ cancelled: 1 });
  });

  test("a message cancelled in flight is not tried again", async () => {
    const { client, event, advance, qstash, states } = await startQStash();
    const answer = deferred<{ status: number }>();
    const { url, received } = await startDestination(() => answer.promise);
    const { messageId } = await client.publish({ url });
    await event(({ state }) => state === "ACTIVE");
    expect(await client.messages.cancel(messageId)).toEqual({ cancelled: 1 });
    answer.resolve({ status: 500 });
    await advance(YEAR);
    expect(received).toHaveLength(1);
    expect(states(messageId)).toEqual(["CREATED", "ACTIVE", "CANCEL_REQUESTED", "ERROR", "CANCELLED"]);
    expect(qstash.stats()).toMatchObject({ cancelled: 1, failed: 0 });
  });
});

describe("callbacks", () => {
  const decode = (text: string): string => Buffer.from(text, "base64").toString();

  test("a callback tells of every attempt, signed, with its own headers and query", async () => {
    const { client, advance, receiver, clock } = await startQStash();
    const { url } = await startDestination(failing(1, { status: 500, body: "oops" }), clock.now);
    const back = await startDestination(undefined, clock.now);
    const { messageId } = await client.publish({
      url,
      body: "hello",
      callback: `${back.url}/told?order=7`,
      headers: { "Upstash-Callback-Forward-X-Shop": "s1", "Upstash-Callback-Method": "PUT", "x-mine": "1" },
    });
    await advance(YEAR);
    expect(back.received.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "PUT /told?order=7",
      "PUT /told?order=7",
    ]);
    expect(back.received[0]?.headers).toMatchObject({ "x-shop": "s1", "content-type": "application/json" });
    const [first, second] = back.received.map(({ body }) => JSON.parse(body));
    expect(first).toMatchObject({ status: 500, retried: 0, maxRetries: 3, sourceMessageId: messageId, url });
    expect(second).toMatchObject({ status: 200, retried: 1, sourceHeader: { "X-Mine": ["1"] } });
    expect([decode(first.body), decode(first.sourceBody)]).toEqual(["oops", "hello"]);
    const signature = String(back.received[1]?.headers["upstash-signature"]);
    const body = back.received[1]?.body ?? "";
    expect(await receiver.verify({ signature, body, url: `${back.url}/told?order=7` })).toBe(true);
  });

  test("a failure callback comes once, after the last attempt, with the dead letter's id", async () => {
    const { client, advance, clock } = await startQStash();
    const { url } = await startDestination(
      () => ({ status: 500, headers: { "x-reason": "full" }, body: "no room" }),
      clock.now,
    );
    const back = await startDestination();
    const published = clock.now();
    const { messageId } = await client.publishJSON({
      url,
      body: { n: 1 },
      retries: 1,
      failureCallback: `${back.url}/dead?epoch=2`,
      headers: { "x-mine": "1" },
    });
    await advance(12_000 - 1);
    expect(back.received).toHaveLength(0);
    await advance(1);
    expect(back.received).toHaveLength(1);
    expect(back.received[0]?.path).toBe("/dead?epoch=2");
    const [letter] = (await client.dlq.listMessages()).messages;
    const told = JSON.parse(back.received[0]?.body ?? "");
    expect(told).toEqual({
      status: 500,
      header: expect.objectContaining({ "X-Reason": ["full"] }),
      body: btoa("no room"),
      retried: 1,
      maxRetries: 1,
      dlqId: letter?.dlqId,
      sourceMessageId: messageId,
      url,
      method: "POST",
      sourceHeader: { "Content-Type": ["application/json"], "X-Mine": ["1"] },
      sourceBody: btoa('{"n":1}'),
      notBefore: published,
      createdAt: published,
      callerIP: "127.0.0.1",
    });
  });

  test("a failure callback inherits the retries of its message, and can be a dead letter itself", async () => {
    const { client, advance, clock } = await startQStash();
    const { url } = await startDestination(() => ({ status: 500 }));
    const back = await startDestination(() => ({ status: 500 }), clock.now);
    await client.publish({ url, retries: 2, failureCallback: back.url });
    await advance(YEAR);
    expect(waits(back.received)).toEqual([12_000, 148_000]);
    const { messages } = await client.dlq.listMessages();
    expect(messages.map((message) => message.url)).toEqual([back.url, url]);
  });

  test("the retries of a failure callback can be its own", async () => {
    const { client, advance } = await startQStash();
    const { url } = await startDestination(() => ({ status: 500 }));
    const back = await startDestination(() => ({ status: 500 }));
    await client.publish({
      url,
      retries: 1,
      failureCallback: back.url,
      headers: { "Upstash-Failure-Callback-Retries": "3" },
    });
    await advance(YEAR);
    expect(back.received).toHaveLength(4);
  });

  test("a delivered message calls no failure callback", async () => {
    const { client, advance } = await startQStash();
    const { url } = await startDestination();
    const back = await startDestination();
    await client.publish({ url, failureCallback: back.url });
    await advance(YEAR);
    expect(back.received).toHaveLength(0);
  });
});

describe("duplicates", () => {
  test("with duplicateRate 1 every delivered message comes twice, under the same id", async () => {
    const { client, qstash } = await startQStash({ duplicateRate: 1 });
    const { url, received } = await startDestination();
    const { messageId } = await client.publish({ url, body: "x" });
    await qstash.idle();
    expect(received.map(({ headers }) => headers["upstash-message-id"])).toEqual([messageId, messageId]);
    expect(qstash.stats()).toMatchObject({ delivered: 1, duplicated: 1, attempts: 2 });
  });

  test("the random source decides which messages are duplicated", async () => {
    const draws = [0.9, 0.1, 0.9];
    const { client, qstash } = await startQStash({ duplicateRate: 0.5, random: () => draws.shift() ?? 1 });
    const { url, received } = await startDestination();
    for (const body of ["a", "b", "c"]) {
      await client.publish({ url, body });
      await qstash.idle();
    }
    expect(received.map(({ body }) => body)).toEqual(["a", "b", "b", "c"]);
  });
});
