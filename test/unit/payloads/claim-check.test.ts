import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { ConfigurationError } from "aftercommit";
import type { PayloadStore } from "aftercommit";
import { memoryDatabase, memoryPayloadStore } from "aftercommit/memory";
import { payloads } from "aftercommit/payloads";
import { envelopeOf, keysOf, LETTER_ROUTES, letterSent, payloadWorld, reasonOf } from "../../support/payload-world.ts";
import { anything, orderPaid, PUBLIC_URL, settled, world } from "../../support/world.ts";

const DAY = 86_400_000;
const small = { to: "Ada", text: "short" };
const large = { to: "Ada", text: "long ".repeat(100) };
const FANNED_OUT = { [letterSent.name]: ["/consumers/letter", "/consumers/archive"] };

/** A store that fails as it is told to. */
function failing(store: PayloadStore, fails: { put?: boolean; get?: boolean; delete?: boolean }): PayloadStore {
  const guard = (broken: boolean | undefined) => {
    if (broken === true) throw new Error("the payload store is out of reach");
  };
  return {
    put: async (...put) => (guard(fails.put), store.put(...put)),
    get: async (key) => (guard(fails.get), store.get(key)),
    delete: async (key) => (guard(fails.delete), store.delete(key)),
  };
}

describe("a message above the limit", () => {
  test("travels as a reference with length and hash, and its consumer is given the data", async () => {
    const w = payloadWorld();
    const letters = w.letters({ claimCheck: {} });
    const { dispatches } = await letters.send(large);
    const text = JSON.stringify(large);
    const envelope = envelopeOf(dispatches[0]!);
    expect(envelope).not.toHaveProperty("data");
    expect(envelope).toMatchObject({
      id: dispatches[0]!.record.messageId,
      datacontenttype: "application/json",
      datalength: text.length,
      datasha256: createHash("sha256").update(text).digest("hex"),
    });
    expect(w.payloadStore.texts()).toEqual(new Map([[envelope["dataref"], text]]));
    expect(dispatches[0]!.body).not.toContain("long long");
    expect(JSON.stringify(w.store.snapshot())).not.toContain("long long");
    expect((await w.deliver(letters.app))[0]!.statuses).toEqual([200]);
    expect(letters.received).toEqual([large]);
  });

  test("counts in bytes, and the limit itself still travels", async () => {
    const w = payloadWorld();
    const letter = { to: "Ada", text: "grüße" };
    const bytes = new TextEncoder().encode(JSON.stringify(letter)).length;
    const at = await w.letters({ claimCheck: { above: bytes } }).send(letter);
    expect(envelopeOf(at.dispatches[0]!)).toHaveProperty("data", letter);
    const over = await w.letters({ claimCheck: { above: bytes - 1 } }).send(letter);
    expect(envelopeOf(over.dispatches[0]!)).toMatchObject({ datalength: bytes });
    expect(over.dispatches[0]!.body).not.toContain("gr");
  });

  test("may be larger than any message may be, up to its own limit", async () => {
    const w = payloadWorld();
    const letters = w.letters({ claimCheck: { atMost: 2_000_000 } }, { maxMessageBytes: 2_048 });
    const huge = { to: "Ada", text: "x".repeat(1_900_000) };
    expect((await letters.send(huge)).status).toBe(200);
    expect((await w.deliver(letters.app))[0]!.statuses).toEqual([200]);
    expect(letters.received).toEqual([huge]);
    const { status, dispatches } = await letters.send({ to: "Ada", text: "x".repeat(2_000_000) });
    expect([status, dispatches]).toEqual([413, []]);
    expect([...w.payloadStore.texts()]).toEqual([]);
  });

  test("below the limit it is the same body as without payloads", async () => {
    const bodies = [];
    for (const options of [{}, { payloads: undefined }]) {
      const w = payloadWorld();
      const { dispatches } = await w.letters({ claimCheck: {} }, options).send(small);
      bodies.push(dispatches[0]!.body);
      expect([...w.payloadStore.texts()]).toEqual([]);
    }
    expect(bodies[0]).toBe(bodies[1]);
  });

  test("is encrypted before it is put into the store", async () => {
    const w = payloadWorld();
    const sealing = { claimCheck: {}, encryption: keysOf(1) };
    const letters = w.letters(sealing);
    const { dispatches } = await letters.send(large);
    expect(envelopeOf(dispatches[0]!)).toMatchObject({ datacontenttype: "application/jose" });
    const [text] = [...w.payloadStore.texts().values()];
    expect(text!.split(".")).toHaveLength(5);
    expect(JSON.stringify([[...w.payloadStore.texts()], w.store.snapshot(), dispatches])).not.toContain("long");
    await w.deliver(letters.app);
    expect(letters.received).toEqual([large]);
  });
});

describe("the payload of a message", () => {
  test("goes when its only delivery is done, and its duplicates are acknowledged all the same", async () => {
    const w = payloadWorld();
    const letters = w.letters({ claimCheck: {} });
    const { dispatches } = await letters.send(large);
    const { destination } = dispatches[0]!.record;
    await w.deliver(letters.app);
    await letters.ac.drain();
    expect([...w.payloadStore.texts()]).toEqual([]);
    const again = await w.post(letters.app, destination, dispatches[0]!.body, { attempt: 2 });
    expect(await again.json()).toMatchObject({ duplicate: true });
    expect(letters.received).toHaveLength(1);
  });

  test("goes with the next attempt where the run that did the message was cut off before", async () => {
    const w = payloadWorld();
    const cut = w.letters({ claimCheck: { store: failing(w.payloadStore, { delete: true }) } });
    const { dispatches } = await cut.send(large);
    const { destination } = dispatches[0]!.record;
    await w.deliver(cut.app);
    await cut.ac.drain();
    expect(w.of("background")).toHaveLength(1);
    expect(w.payloadStore.texts().size).toBe(1);
    const letters = w.letters({ claimCheck: {} });
    await w.post(letters.app, destination, dispatches[0]!.body, { attempt: 2 });
    await letters.ac.drain();
    expect(w.payloadStore.texts().size).toBe(0);
  });

  test("of several deliveries is there for each of them, and ends by its time", async () => {
    const w = payloadWorld();
    const letters = w.letters({ claimCheck: {} }, { routes: FANNED_OUT });
    const archived: unknown[] = [];
    letters.app.post(
      "/consumers/archive",
      letters.ac.consumer(letterSent, ({ data }) => void archived.push(data), { name: "archive" }),
    );
    const { dispatches } = await letters.send(large);
    expect(envelopeOf(dispatches[0]!)).not.toHaveProperty("dataexclusive");
    expect((await w.deliver(letters.app)).map(({ statuses }) => statuses)).toEqual([[200], [200]]);
    await letters.ac.drain();
    expect([letters.received, archived]).toEqual([[large], [large]]);
    expect(w.payloadStore.texts().size).toBe(1);
    await w.clock.advance(90 * DAY);
    expect(w.payloadStore.texts().size).toBe(1);
    await w.clock.advance(1_000);
    expect(w.payloadStore.texts().size).toBe(0);
  });

  test("is there as long as the message may be sent again, however late it is to be delivered", async () => {
    const w = world();
    const puts: number[] = [];
    const store: PayloadStore = { ...memoryPayloadStore(), put: async (_key, _text, keep) => void puts.push(keep) };
    const { ac, app } = w.service({
      routes: LETTER_ROUTES,
      payloads: payloads({ claimCheck: { store, above: 0, keep: "40d" } }),
      recovery: { retryHorizon: "2d", redriveWithin: "30d" },
    });
    app.post("/letters", ac.transaction(), async (c) => {
      await c.var.tx.publish(letterSent, large);
      await c.var.tx.publish(letterSent, large, { delay: "100d" });
      return c.json({});
    });
    await app.request("/letters", { method: "POST" });
    expect(puts).toEqual([40 * DAY, (100 + 33) * DAY]);
  });

  test("of a message that is rolled back ends by its time, and the message goes nowhere", async () => {
    const w = payloadWorld();
    const { ac, app } = w.service({
      routes: LETTER_ROUTES,
      payloads: payloads({ claimCheck: { store: w.payloadStore, above: 100 } }),
    });
    app.post("/letters", ac.transaction(), async (c) => {
      await c.var.tx.publish(letterSent, large);
      return c.json({}, 500);
    });
    await app.request("/letters", { method: "POST" });
    await ac.drain();
    expect(w.transport.accepted).toEqual([]);
    expect(w.payloadStore.texts().size).toBe(1);
    await w.clock.advance(90 * DAY + 1);
    expect(w.payloadStore.texts().size).toBe(0);
  });

  test("that a rerun of a consumer puts is its own, so that neither run's end takes the other's", async () => {
    const w = payloadWorld();
    const routes = { ...LETTER_ROUTES, "order.paid": "/consumers/receipt" };
    const { ac, app } = w.service({
      routes,
      payloads: payloads({ claimCheck: { store: w.payloadStore, above: 100 } }),
    });
    let runs = 0;
    app.post(
      "/consumers/receipt",
      ac.consumer(orderPaid, async (message) => {
        await message.tx.publish(letterSent, large);
        if (++runs === 1) throw new Error("once more");
      }),
    );
    app.post("/orders", ac.transaction(), async (c) => {
      await c.var.tx.publish(orderPaid, { orderId: "o-1" });
      return c.json({});
    });
    const received: unknown[] = [];
    app.post(
      "/consumers/letter",
      ac.consumer(letterSent, ({ data }) => void received.push(data)),
    );
    await app.request("/orders", { method: "POST" });
    await ac.drain();
    const [receipt] = w.transport.take();
    expect((await w.post(app, receipt!.record.destination, receipt!.body)).status).toBe(500);
    expect((await w.post(app, receipt!.record.destination, receipt!.body, { attempt: 2 })).status).toBe(200);
    await ac.drain();
    const keys = [...w.payloadStore.texts().keys()];
    expect(keys).toHaveLength(2);
    await w.deliver(app);
    await ac.drain();
    expect(received).toEqual([large]);
    expect([...w.payloadStore.texts().keys()]).toEqual([keys[0]]);
  });
});

describe("a consumer", () => {
  test("tries again where the store has nothing, and what is lost is dead with a reason that says so", async () => {
    const w = payloadWorld();
    const letters = w.letters({ claimCheck: {} });
    const { dispatches } = await letters.send(large);
    const { dataref } = envelopeOf(dispatches[0]!);
    const text = w.payloadStore.texts().get(String(dataref))!;
    await w.payloadStore.delete(String(dataref));
    const { destination } = dispatches[0]!.record;
    const early = await w.post(letters.app, destination, dispatches[0]!.body);
    expect([early.status, early.headers.get("retry-after")]).toEqual([500, "60"]);
    expect(reasonOf(await early.text())).toBe(`the payload store has nothing under "${String(dataref)}"`);
    // A replica that lagged behind has it now.
    await w.payloadStore.put(String(dataref), text, DAY);
    expect((await w.post(letters.app, destination, dispatches[0]!.body)).status).toBe(200);

    const lost = await letters.send(large);
    await w.payloadStore.delete(String(envelopeOf(lost.dispatches[0]!)["dataref"]));
    const delivered = await w.deliver(letters.app);
    expect(delivered.map(({ statuses }) => statuses)).toEqual([[200], [500, 500, 500, 500]]);
    const [letter] = (await w.store.reader.listDead()).items;
    expect(letter!.detail).toContain("the payload store has nothing under");
  });

  test("buries at once what is not what was put there", async () => {
    const w = payloadWorld();
    const letters = w.letters({ claimCheck: {} });
    for (const change of [
      (text: string) => text.replace("Ada", "Bob"),
      (text: string) => text.slice(0, -1),
      (text: string) => `${text} `,
      () => "",
    ]) {
      const { dispatches } = await letters.send(large);
      const dataref = String(envelopeOf(dispatches[0]!)["dataref"]);
      await w.payloadStore.put(dataref, change(w.payloadStore.texts().get(dataref)!), DAY);
      const [delivered] = await w.deliver(letters.app);
      expect(delivered!.statuses).toEqual([489]);
      expect(reasonOf(delivered!.answer)).toBe(
        `what the payload store has under "${dataref}" is not what was put there`,
      );
    }
    expect(letters.received).toEqual([]);
  });

  test("asks the store for nothing but references of ours", async () => {
    const w = payloadWorld();
    const asked: string[] = [];
    const store: PayloadStore = { ...w.payloadStore, get: async (key) => (asked.push(key), undefined) };
    const letters = w.letters({ claimCheck: { store } });
    const { dispatches } = await letters.send(large);
    for (const dataref of ["../secrets", "a/b", "", "x".repeat(201), "{other:0}:due", 1, null, ["a"], { a: 1 }]) {
      const body = JSON.stringify({ ...envelopeOf(dispatches[0]!), dataref });
      expect((await w.post(letters.app, dispatches[0]!.record.destination, body)).status).toBe(489);
    }
    expect(asked).toEqual([]);
  });

  test("waits for a store that is out of reach, and its message is not leased meanwhile", async () => {
    const w = payloadWorld();
    const { dispatches } = await w.letters({ claimCheck: {} }).send(large);
    const { destination } = dispatches[0]!.record;
    const cut = w.letters({ claimCheck: { store: failing(w.payloadStore, { get: true }) } });
    const response = await w.post(cut.app, destination, dispatches[0]!.body);
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "60"]);
    expect(reasonOf(await response.text())).toBe("the payload store did not answer");
    expect(w.of("background")).toMatchObject([{ error: { code: "ERR_PAYLOAD_UNAVAILABLE" } }]);
    const letters = w.letters({ claimCheck: {} });
    expect((await w.post(letters.app, destination, dispatches[0]!.body)).status).toBe(200);
    expect(letters.received).toEqual([large]);
  });

  test("does not wait for ever for a store that does not answer, and renews its lease meanwhile", async () => {
    const w = payloadWorld();
    const { dispatches } = await w.letters({ claimCheck: {} }).send(large);
    const store = { ...w.payloadStore, get: () => new Promise<never>(() => undefined) };
    const letters = w.letters({ claimCheck: { store } }, { transportTimeout: "50s" });
    const { destination } = dispatches[0]!.record;
    const answer = w.post(letters.app, destination, dispatches[0]!.body);
    await settled();
    for (let second = 0; second < 45; second++) await w.clock.advance(1_000);
    const other = w.letters({ claimCheck: {} });
    expect((await w.post(other.app, destination, dispatches[0]!.body)).status, "leased by the first").toBe(503);
    expect(other.received).toEqual([]);
    await w.clock.advance(6_000);
    expect((await answer).status).toBe(503);
  });

  test("without a store waits for a configuration that has one", async () => {
    const w = payloadWorld();
    const { dispatches } = await w.letters({ claimCheck: {} }).send(large);
    const letters = w.letters({ encryption: keysOf(1) });
    const response = await w.post(letters.app, dispatches[0]!.record.destination, dispatches[0]!.body);
    expect(response.status).toBe(503);
    expect(reasonOf(await response.text())).toBe("no payload store is configured here");
  });
});

describe("a producer", () => {
  test("refuses with 503 while the store is out of reach, and nothing is kept", async () => {
    const w = payloadWorld();
    const letters = w.letters({ claimCheck: { store: failing(w.payloadStore, { put: true }) } });
    const { status, dispatches } = await letters.send(large);
    expect([status, dispatches]).toEqual([503, []]);
    expect(w.of("requestFailed")).toMatchObject([{ error: { code: "ERR_PAYLOAD_UNAVAILABLE", retryable: true } }]);
    expect(await w.store.reader.counts()).toMatchObject({ unsettled: 0, held: 0 });
    expect((await letters.send(small)).status).toBe(200);
  });

  test("refuses data that JSON cannot hold as it does without payloads", async () => {
    const w = payloadWorld();
    const service = w.service({
      routes: { anything: "/consumers/anything" },
      payloads: payloads({ encryption: keysOf(1) }),
    });
    service.app.post("/anything", service.ac.transaction(), async (c) => {
      await c.var.tx.publish(anything, 1n);
      return c.json({});
    });
    expect((await service.app.request("/anything", { method: "POST" })).status).toBe(500);
    expect(w.of("requestFailed")).toMatchObject([{ error: { code: "ERR_INVALID_MESSAGE" } }]);
  });

  test("refuses a message that is to be delivered after the store's end of it", async () => {
    const w = payloadWorld();
    const store: PayloadStore = { ...w.payloadStore, keepsMillis: 40 * DAY };
    const { ac, app } = w.service({ routes: LETTER_ROUTES, payloads: payloads({ claimCheck: { store, above: 100 } }) });
    app.post("/letters/:delay", ac.transaction(), async (c) => {
      await c.var.tx.publish(letterSent, large, { delay: c.req.param("delay") });
      return c.json({});
    });
    expect((await app.request("/letters/7d", { method: "POST" })).status).toBe(200);
    expect((await app.request("/letters/8d", { method: "POST" })).status).toBe(500);
    expect(w.of("requestFailed")).toMatchObject([{ error: { code: "ERR_INVALID_MESSAGE" } }]);
  });
});

describe("a dead letter", () => {
  /** Sends one large letter, and lets the transport give it up. */
  async function buried() {
    const w = payloadWorld();
    const letters = w.letters({ claimCheck: {} });
    const { dispatches } = await letters.send(large);
    const [dispatch] = w.transport.take();
    const failed = w.transport.markFailed(dispatch!, { status: 500, response: "no" });
    await w.post(letters.app, dispatch!.failureUrl!, w.receiver.failureBody(failed));
    return { w, letters, key: dispatches[0]!.record.key };
  }

  test("is redriven with its payload for as long as it may be redriven", async () => {
    const { w, letters, key } = await buried();
    await w.clock.advance(30 * DAY);
    await letters.ac.operator().redrive(key);
    await w.deliver(letters.app);
    expect(letters.received).toEqual([large]);
  });

  test("has a payload of its own when it is sent as a new message", async () => {
    const { w, letters, key } = await buried();
    const [old] = w.payloadStore.texts().keys();
    await w.clock.advance(60 * DAY);
    const { messageId } = await letters.ac.operator().redrive(key, { asNew: true });
    expect(w.payloadStore.texts().size).toBe(2);
    expect(envelopeOf(w.transport.accepted.at(-1)!)).toMatchObject({ id: messageId, dataexclusive: true });
    // The first one's time is over before the new one is delivered.
    await w.clock.advance(30 * DAY + 1);
    expect(w.payloadStore.texts().has(old!)).toBe(false);
    await w.deliver(letters.app);
    expect(letters.received).toEqual([large]);
  });

  test("whose payload has ended cannot be sent as a new message, and stays", async () => {
    const { w, letters, key } = await buried();
    await w.clock.advance(91 * DAY);
    await expect(letters.ac.operator().redrive(key, { asNew: true })).rejects.toMatchObject({ code: "ERR_CONFLICT" });
    expect((await w.store.reader.listDead()).items).toHaveLength(1);
  });
});

describe("a configuration", () => {
  const refused: Record<string, { readonly claimCheck: object; readonly path: string }> = {
    "with a limit that is no number of bytes": { claimCheck: { above: 1.5 }, path: "payloads.claimCheck.above" },
    "with limits the wrong way round": { claimCheck: { above: 2, atMost: 1 }, path: "payloads.claimCheck.above" },
    "with a time that is none": { claimCheck: { keep: "a while" }, path: "payloads.claimCheck.keep" },
    "that keeps payloads for less than messages may be redriven": {
      claimCheck: { keep: "32d" },
      path: "payloads.claimCheck.keep",
    },
    "whose store keeps them for less than messages may be redriven": {
      claimCheck: { store: { ...memoryPayloadStore(), keepsMillis: 32 * DAY } },
      path: "payloads.claimCheck.store",
    },
    "whose store keeps them for less than it says": {
      claimCheck: { keep: "60d", store: { ...memoryPayloadStore(), keepsMillis: 50 * DAY } },
      path: "payloads.claimCheck.store",
    },
  };

  test.each(Object.entries(refused))("%s is refused at start", (_name, { claimCheck, path }) => {
    let thrown: unknown;
    try {
      payloadWorld().letters({ claimCheck });
    } catch (error) {
      thrown = error;
    }
    if (!ConfigurationError.is(thrown)) throw new Error("expected it to be refused");
    expect(thrown.problems.map((problem) => problem.path)).toEqual([path]);
  });

  test("whose store keeps payloads for just as long as it must is taken", () => {
    const store = { ...memoryPayloadStore(), keepsMillis: 33 * DAY };
    payloadWorld().letters({ claimCheck: { store } });
    payloadWorld().letters({ claimCheck: { keep: "33d" } });
  });
});

test("a consumer with a database is given the data of its store, and deletes them once its effect is there", async () => {
  const w = payloadWorld();
  const database = memoryDatabase({ clock: w.clock });
  const codec = payloads({ claimCheck: { store: w.payloadStore, above: 100 }, encryption: keysOf(1) });
  const { ac, app } = w.service({
    databases: { main: database },
    routes: LETTER_ROUTES,
    payloads: codec,
  });
  app.post("/letters", ac.transaction({ database: "main" }), async (c) => {
    await c.var.tx.publish(letterSent, large);
    await c.var.tx.run("main", async () => undefined);
    return c.json({});
  });
  const received: unknown[] = [];
  app.post(
    "/consumers/letter",
    ac.consumer(
      letterSent,
      async (message) => {
        await message.run("main", async () => {
          received.push(message.data);
          expect(w.payloadStore.texts().size).toBe(1);
        });
      },
      { database: "main", name: "letters" },
    ),
  );
  expect((await app.request(`${PUBLIC_URL}/letters`, { method: "POST" })).status).toBe(200);
  await ac.drain();
  expect(JSON.stringify(database.snapshot())).not.toContain("long");
  expect((await w.deliver(app)).map(({ statuses }) => statuses)).toEqual([[200]]);
  await ac.drain();
  expect(received).toEqual([large]);
  expect(w.payloadStore.texts().size).toBe(0);
});
