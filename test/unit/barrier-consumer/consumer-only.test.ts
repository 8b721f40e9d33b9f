import { describe, expect, test } from "vitest";
import { aftercommit, ConfigurationError } from "aftercommit";
import type { AftercommitOptions } from "aftercommit";
import { Hono } from "hono";
import { act, consumingWorld } from "../../support/barrier-consumer-world.ts";
import type { ConsumingWorld, MemorySql } from "../../support/barrier-consumer-world.ts";
import { orderPaid, PUBLIC_URL } from "../../support/world.ts";
import type { ServiceUnderTest } from "../../support/world.ts";

const DAY = 86_400_000;

/** A service that only consumes: nothing but its URL, its keys, its database, and that as its inbox. */
function consumerOnly(w: ConsumingWorld, work = act): ServiceUnderTest {
  const options: AftercommitOptions = {
    publicUrl: PUBLIC_URL,
    receiver: w.receiver,
    databases: { main: w.main },
    inbox: "main",
    clock: w.clock,
    observer: { event: (event) => w.events.push(event) },
  };
  const ac = aftercommit(options);
  const app: ServiceUnderTest["app"] = new Hono();
  app.post(
    "/consumers/receipt",
    ac.consumer(orderPaid, (message) => message.run("main", work)),
  );
  return { ac, app };
}

describe("a service that only consumes, with its database as its inbox,", () => {
  test("needs no log and no transport", async () => {
    const w = consumingWorld();
    const service = consumerOnly(w, async (sql: MemorySql) => {
      await act(sql);
    });
    await service.ac.verify();
    expect((await w.arrive(service)).body).toMatchObject({ status: "done", duplicate: false });
    expect((await w.arrive(service)).body).toMatchObject({ status: "done", duplicate: true });
    expect(w.effects()).toBe(1);
    expect(w.of("background")).toEqual([]);
  });

  test("asks for another attempt while its database does not answer, and has done nothing", async () => {
    const w = consumingWorld();
    const service = consumerOnly(w);
    const mend = w.main.fail("unavailable", { times: Number.POSITIVE_INFINITY });
    expect((await w.arrive(service)).status).toBe(503);
    mend();
    expect(await w.arrive(service, { attempt: 2 })).toMatchObject({ status: 200, body: { duplicate: false } });
    expect(w.effects()).toBe(1);
  });

  test("acks a message whose effect is committed, although its lease could not be ended", async () => {
    const w = consumingWorld();
    const service = consumerOnly(w);
    w.main.fail("replyLost", { times: 1 });
    expect((await w.arrive(service)).status, "the claim's answer was lost").toBe(503);
    await w.clock.advance(31_000);
    const { inbox } = w.main;
    const complete: typeof inbox.complete = async () => Promise.reject(new Error("gone"));
    const lossy = { ...w, main: { ...w.main, inbox: { ...inbox, complete } } };
    expect(await w.arrive(consumerOnly(lossy), { attempt: 2 })).toMatchObject({
      status: 200,
      body: { duplicate: false },
    });
    expect(await w.arrive(service, { attempt: 3 })).toMatchObject({ status: 200, body: { duplicate: true } });
    expect(w.effects()).toBe(1);
  });

  test("forgets what it has done when the retention is over, and refuses what is older than that", async () => {
    const w = consumingWorld();
    const service = consumerOnly(w);
    const inInbox = () => w.main.snapshot().filter(([key]) => key.startsWith("inbox/done/")).length;
    await w.arrive(service);
    await w.clock.advance(33 * DAY - 1);
    await service.ac.operator().sweep({ audit: true });
    expect(inInbox(), "within it nothing is forgotten").toBe(1);
    expect((await w.arrive(service)).body).toMatchObject({ duplicate: true });
    await w.clock.advance(2);
    await service.ac.operator().sweep({ audit: true });
    expect(inInbox()).toBe(0);
    expect(await w.arrive(service)).toMatchObject({
      status: 489,
      body: { error: { reason: expect.stringContaining("expired") as string } },
    });
    expect(w.effects()).toBe(1);
  });

  test("is refused at start where its inbox names a database that is not there", () => {
    const w = consumingWorld();
    const configure = () => aftercommit({ publicUrl: PUBLIC_URL, receiver: w.receiver, inbox: "main" });
    expect(configure).toThrow(ConfigurationError);
    expect(configure).toThrow("databases.main");
  });
});
