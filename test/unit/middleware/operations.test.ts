import { describe, expect, test, vi } from "vitest";
import { aftercommit } from "aftercommit";
import type { AftercommitOptions, TransportDeadLetter } from "aftercommit";
import { memoryStore } from "aftercommit/memory";
import { BEARER, ELSEWHERE, faulty, intercepted, orderPaid, PUBLIC_URL, settled, world } from "../../support/world.ts";
import type { ServiceUnderTest, World } from "../../support/world.ts";

const BASE = `${PUBLIC_URL}/_aftercommit`;
const KEY = "0197-tx_0_0123456789abcdef";

/** Every route that needs the token. */
const ROUTES: readonly (readonly [method: string, path: string])[] = [
  ["POST", "/sweep"],
  ["GET", "/counts"],
  ["GET", "/held"],
  ["GET", "/dead"],
  ["GET", "/unconfirmed"],
  ["GET", "/transactions/0197-tx"],
  ["POST", "/transactions/0197-tx/commit"],
  ["POST", "/transactions/0197-tx/rollback"],
  ["POST", `/dead/${KEY}/redrive`],
  ["POST", `/dead/${KEY}/discard`],
];

function call({ app }: ServiceUnderTest, method: string, path: string, authorization = `Bearer ${BEARER}`) {
  return Promise.resolve(app.request(`${BASE}${path}`, { method, headers: { authorization } }));
}

/** A service whose message to a stranger was given up; what the transport has to tell of it. */
async function undeliverable(
  w: World,
  overrides: Partial<AftercommitOptions> = {},
  mount: (made: ServiceUnderTest) => void = () => undefined,
) {
  const made = w.service({ routes: { [orderPaid.name]: ELSEWHERE }, ...overrides });
  mount(made);
  made.app.post("/orders", made.ac.transaction(), async (c) => {
    await c.var.tx.publish(orderPaid, { orderId: "o-1" });
    return c.text(c.var.tx.id);
  });
  await made.app.request("/orders", { method: "POST" });
  await made.ac.drain();
  const [dispatch] = w.transport.take();
  const letter = w.transport.markFailed(dispatch!, { status: 502, response: "bad gateway" });
  return { ...made, dispatch: dispatch!, letter };
}

const report = (w: World, { app }: ServiceUnderTest, letter: TransportDeadLetter) =>
  w.post(app, `${BASE}/failed`, w.receiver.failureBody(letter));

describe("the operator's routes", () => {
  for (const [method, path] of ROUTES) {
    test(`${method} ${path} needs the token`, async () => {
      const w = world();
      const untouchable = intercepted(w.store, () => Promise.reject(new Error("expected no call")));
      const made = w.service({ log: untouchable });
      for (const authorization of ["", "Bearer", "Bearer ", `Bearer ${BEARER}x`, `Basic ${BEARER}`, BEARER]) {
        const response = await call(made, method, path, authorization);
        expect(response.status, authorization).toBe(401);
        expect(await response.text()).toBe('{"error":{"code":"unauthorized"}}');
      }
      expect((await made.app.request(`${BASE}${path}`, { method })).status).toBe(401);
      expect((await call(w.service({ operations: {} }), method, path, "Bearer undefined")).status).toBe(401);
      const allowed = await call(w.service(), method, path);
      expect(allowed.status).not.toBe(401);
      expect(allowed.headers.get("cache-control")).toBe("no-store");
    });
  }

  test("do not exist by another method", async () => {
    const w = world();
    const made = w.service();
    for (const [method, path] of ROUTES) {
      expect((await call(made, method === "GET" ? "POST" : "GET", path)).status).toBe(404);
    }
  });

  const hostile = [
    "..",
    "%2e%2e",
    "a%2Fb",
    "a_b",
    "*",
    "a%00",
    "a%0a",
    "{x}",
    "x".repeat(65),
    "%F0%9F%92%A9",
    "__proto__",
  ];
  for (const id of hostile) {
    test(`refuse the id ${id.slice(0, 12)}`, async () => {
      const w = world();
      const untouchable = intercepted(w.store, () => Promise.reject(new Error("expected no call")));
      const made = w.service({ log: untouchable });
      for (const [method, path] of [
        ["GET", `/transactions/${id}`],
        ["POST", `/transactions/${id}/commit`],
        ["POST", `/dead/${id}/redrive`],
        ["POST", `/dead/${id}/discard`],
      ] as const) {
        expect([400, 404], path).toContain((await call(made, method, path)).status);
      }
    });
  }

  for (const limit of ["0", "501", "-1", "1.5", "NaN", "", "1e9"]) {
    test(`refuse the limit ${JSON.stringify(limit)}`, async () => {
      const response = await call(world().service(), "GET", `/dead?limit=${limit}`);
      expect(response.status).toBe(400);
    });
  }

  test("take any cursor without harm, and refuse one that is too long", async () => {
    const made = world().service();
    for (const path of ["/dead", "/held", "/unconfirmed"]) {
      for (const cursor of ["x", "-1", "0:%00", "*", "(+inf"]) {
        expect((await call(made, "GET", `${path}?cursor=${encodeURIComponent(cursor)}`)).status).toBe(200);
      }
      expect((await call(made, "GET", `${path}?cursor=${"x".repeat(5_000)}`)).status).toBe(400);
    }
  });

  test("page through the dead letters", async () => {
    const w = world();
    const made = await undeliverable(w);
    const letter = made.letter;
    for (let n = 0; n < 5; n++) {
      const body = letter.body.replaceAll(made.dispatch.record.transactionId, `0197-${n}`);
      const { meta: _meta, ...rest } = letter;
      await report(w, made, { ...rest, body });
    }
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const query = cursor === undefined ? "" : `&cursor=${encodeURIComponent(cursor)}`;
      const page = (await (await call(made, "GET", `/dead?limit=2${query}`)).json()) as {
        items: { record: { key: string } }[];
        cursor?: string;
      };
      seen.push(...page.items.map(({ record }) => record.key));
      cursor = page.cursor;
    } while (cursor !== undefined);
    expect(new Set(seen).size).toBe(5);
    expect(seen).toHaveLength(5);
  });

  test("answer 503 where the log is out of reach", async () => {
    const w = world();
    const made = w.service({ log: faulty(w.store, () => "unreachable") });
    for (const [method, path] of ROUTES) expect((await call(made, method, path)).status, path).toBe(503);
  });

  test("tell what nobody knows by 404", async () => {
    const made = world().service();
    for (const path of [`/dead/${KEY}/redrive`, `/dead/${KEY}/discard`, "/transactions/0197-tx/commit"]) {
      const response = await call(made, "POST", path);
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ error: { code: "ERR_NOT_FOUND" } });
    }
  });

  test("decide a held transaction", async () => {
    const w = world();
    const made = w.service();
    made.app.post("/orders", made.ac.transaction(), async (c) => {
      await c.var.tx.publish(orderPaid, { orderId: "1" });
      return new Promise<Response>(() => undefined);
    });
    void made.app.request("/orders", { method: "POST" });
    await settled();
    await w.clock.advance(120_000);
    await call(made, "POST", "/sweep");
    const held = (await (await call(made, "GET", "/held")).json()) as { items: { transactionId: string }[] };
    const id = held.items[0]!.transactionId;
    expect(await (await call(made, "POST", `/transactions/${id}/commit`)).json()).toMatchObject({
      verdict: "committed",
    });
    expect((await call(made, "POST", `/transactions/${id}/commit`)).status).toBe(200);
    expect((await call(made, "POST", `/transactions/${id}/rollback`)).status).toBe(409);
    expect(w.transport.accepted).toHaveLength(1);
    expect(await (await call(made, "GET", `/transactions/${id}`)).json()).toMatchObject({
      decision: { verdict: "committed" },
      unsettled: [{ mark: "published" }],
    });
  });
});

describe("the sweep route", () => {
  test("takes the transport's signature too", async () => {
    const w = world();
    const made = w.service();
    const response = await w.post(made.app, `${BASE}/sweep`, "");
    expect([response.status, await response.json()]).toMatchObject([200, { claimed: 0 }]);
  });

  test("refuses a stranger, and a large body", async () => {
    const w = world();
    const made = w.service();
    const forged = await w.receiver.sign(`${BASE}/sweep`, "", { secret: "guessed" });
    expect((await made.app.request(`${BASE}/sweep`, { method: "POST", headers: forged })).status).toBe(401);
    expect((await made.app.request(`${BASE}/sweep`, { method: "POST", body: "x".repeat(70_000) })).status).toBe(413);
    expect(w.of("swept")).toEqual([]);
  });
});

describe("the failure route", () => {
  test("buries a delivery that the log knows, with payload, last answer and reason", async () => {
    const w = world();
    const made = await undeliverable(w);
    const response = await report(w, made, made.letter);
    expect([response.status, await response.json()]).toEqual([200, { recorded: "buried" }]);
    expect((await made.ac.operator().log.listDead()).items).toMatchObject([
      {
        record: made.dispatch.record,
        reason: "failed",
        status: 502,
        detail: "bad gateway",
        transportId: "dead-1",
        buriedAt: w.clock.now(),
      },
    ]);
    expect(w.store.snapshot().due).toEqual([]);
  });

  test("records a delivery that the log has lost, from the report's own body", async () => {
    const w = world();
    const made = await undeliverable(w);
    w.store.restore(memoryStore().snapshot());
    const { meta: _meta, ...withoutMeta } = made.letter;
    await report(w, made, withoutMeta);
    const [letter] = (await made.ac.operator().log.listDead()).items;
    expect(letter).toMatchObject({
      record: {
        key: made.dispatch.record.key,
        body: made.dispatch.record.body,
        messageId: made.dispatch.record.messageId,
      },
    });
  });

  test("does not believe a meta that belongs to another delivery or leads elsewhere", async () => {
    const w = world();
    const made = await undeliverable(w);
    const facts = JSON.parse(made.letter.meta!) as Record<string, unknown>;
    const forged = [
      { ...facts, messageId: "another" },
      { ...facts, index: 7 },
      { ...facts, destination: "https://evil.example.org/" },
    ];
    for (const meta of forged) {
      w.store.restore(memoryStore().snapshot());
      await report(w, made, { ...made.letter, meta: JSON.stringify(meta) });
      expect((await made.ac.operator().log.listDead()).items).toMatchObject([
        {
          record: { key: made.dispatch.record.key, messageId: made.dispatch.record.messageId, destination: ELSEWHERE },
        },
      ]);
    }
  });

  for (const name of [undefined, "receipt"]) {
    test(`calls a delivery delivered that its consumer${name === undefined ? "" : ` "${name}"`} has done`, async () => {
      for (const separate of [false, true]) {
        const w = world();
        const inbox = separate ? { inbox: memoryStore({ clock: w.clock }) } : {};
        const routes = { [orderPaid.name]: "/consumers/receipt" };
        const made = await undeliverable(w, { ...inbox, routes }, ({ app, ac }) =>
          app.post(
            "/consumers/receipt",
            ac.consumer(orderPaid, () => "done", name === undefined ? {} : { name }),
          ),
        );
        expect((await w.post(made.app, made.letter.url, made.letter.body)).status).toBe(200);
        const response = await report(w, made, made.letter);
        expect(await response.json()).toEqual({ recorded: "delivered" });
        expect(w.store.snapshot()).toMatchObject({ dead: [], due: [] });
      }
    });
  }

  test("called again says so, and changes nothing", async () => {
    const w = world();
    const made = await undeliverable(w);
    await report(w, made, made.letter);
    const before = w.store.snapshot();
    await w.clock.advance(1_000);
    const again = await report(w, made, { ...made.letter, response: "another answer" });
    expect([again.status, await again.json()]).toEqual([200, { recorded: "known" }]);
    expect(w.store.snapshot()).toEqual(before);
    expect(w.of("dead")).toHaveLength(1);
  });

  test("ignores what is told of an epoch that was redriven or discarded", async () => {
    for (const act of ["redrive", "discard"] as const) {
      const w = world();
      const made = await undeliverable(w);
      await report(w, made, made.letter);
      await made.ac.operator()[act](made.dispatch.record.key);
      expect(await (await report(w, made, made.letter)).json()).toEqual({ recorded: "ignored" });
      expect(w.store.snapshot().dead).toEqual([]);
    }
  });

  test("takes what is no message of ours, so that it is not sent again", async () => {
    const w = world();
    const made = w.service();
    for (const body of ["no envelope", "{}", '{"__proto__":{"specversion":"1.0"}}']) {
      const response = await report(w, made, { url: ELSEWHERE, body, response: "" });
      expect([response.status, await response.json()]).toEqual([200, { recorded: "foreign" }]);
    }
    expect(await (await w.post(made.app, `${BASE}/failed`, "{")).json()).toEqual({ recorded: "foreign" });
    expect(w.store.snapshot().dead).toEqual([]);
  });

  test("answers 503 where the log is out of reach: nothing is dead before it stands there", async () => {
    const w = world();
    const made = await undeliverable(w);
    const cut = w.service({ log: faulty(w.store, () => "unreachable") });
    expect((await report(w, cut, made.letter)).status).toBe(503);
    expect(w.of("dead")).toEqual([]);
  });

  test("refuses a stranger", async () => {
    const w = world();
    const made = await undeliverable(w);
    const body = w.receiver.failureBody(made.letter);
    expect((await made.app.request(`${BASE}/failed`, { method: "POST", body })).status).toBe(401);
    expect(w.store.snapshot().dead).toEqual([]);
  });

  test("takes the report of the largest message", async () => {
    const w = world();
    const made = await undeliverable(w, { maxMessageBytes: 5_000_000 });
    const response = await report(w, made, { ...made.letter, response: "x".repeat(6_000_000) });
    expect(response.status).toBe(200);
  });

  test("keeps a long last answer short", async () => {
    const w = world();
    const made = await undeliverable(w);
    await report(w, made, { ...made.letter, response: "x".repeat(50_000) });
    expect((await made.ac.operator().log.listDead()).items[0]!.detail).toHaveLength(2_000);
  });
});

describe("a redrive", () => {
  async function buried() {
    const w = world();
    const made = await undeliverable(w);
    await report(w, made, made.letter);
    return { w, made, key: made.dispatch.record.key };
  }

  test("sends the same message under a new epoch, and deletes the transport's entry first", async () => {
    const { w, made, key } = await buried();
    const order: string[] = [];
    vi.spyOn(w.transport.reports, "discard").mockImplementation(async (id) => void order.push(`discard ${id}`));
    const log = intercepted(w.store, (act, name) => {
      if (name === "deadLetters.redrive") order.push("store");
      return act();
    });
    const publish = w.transport.publish.bind(w.transport);
    const next = w.service({
      log,
      transport: {
        ...w.transport,
        publish: (all) => {
          order.push("publish");
          return publish(all);
        },
      },
    });
    const response = await call(next, "POST", `/dead/${key}/redrive`);
    expect(await response.json()).toEqual({ key, messageId: made.dispatch.record.messageId });
    expect(order).toEqual(["discard dead-1", "store", "publish"]);
    const [again] = w.transport.take();
    expect(again!.body).toBe(made.dispatch.body);
    expect(again!.record.epoch).toMatch(/^[\w-]{22}$/);
    expect((await call(next, "POST", `/dead/${key}/redrive`)).status).toBe(404);
  });

  test("that crashed before it was sent is sent by the next sweep", async () => {
    const { w, made, key } = await buried();
    w.transport.fail("unreachable");
    await call(made, "POST", `/dead/${key}/redrive`);
    expect(w.transport.take()).toEqual([]);
    await w.clock.advance(10_000);
    await call(made, "POST", "/sweep");
    expect(w.transport.take()).toHaveLength(1);
  });

  test("that fails again is a dead letter again, and the report of the old epoch is ignored", async () => {
    const { w, made, key } = await buried();
    await call(made, "POST", `/dead/${key}/redrive`);
    const [again] = w.transport.take();
    expect(await (await report(w, made, made.letter)).json()).toEqual({ recorded: "ignored" });
    const second = w.transport.markFailed(again!);
    expect(await (await report(w, made, second)).json()).toEqual({ recorded: "buried" });
    expect((await made.ac.operator().log.listDead()).items).toMatchObject([{ record: { epoch: again!.record.epoch } }]);
  });

  test("keeps the options of the message", async () => {
    const w = world();
    const made = w.service({ routes: { [orderPaid.name]: ELSEWHERE } });
    made.app.post("/", made.ac.transaction(), async (c) => {
      await c.var.tx.publish(orderPaid, { orderId: "1" }, { retries: 1, timeout: "5s", headers: { "x-a": "b" } });
      return c.text("ok");
    });
    await made.app.request("/", { method: "POST" });
    await made.ac.drain();
    await w.deliver(made.app, { elsewhere: 489 });
    await made.ac.operator().redrive(w.transport.accepted[0]!.record.key);
    expect(w.transport.accepted[1]!.record.send).toEqual({ retries: 1, timeoutMillis: 5_000, headers: { "x-a": "b" } });
  });

  test("later than redriveWithin is refused but as a new message", async () => {
    const { w, made, key } = await buried();
    await w.clock.advance(30 * 86_400_000 + 1);
    const refused = await call(made, "POST", `/dead/${key}/redrive`);
    expect([refused.status, await refused.json()]).toMatchObject([409, { error: { code: "ERR_EXPIRED" } }]);
    const response = await call(made, "POST", `/dead/${key}/redrive?asNew=true`);
    const { messageId } = (await response.json()) as { messageId: string };
    expect(messageId).not.toBe(made.dispatch.record.messageId);
    const [dispatch] = w.transport.take();
    const now = new Date(w.clock.now()).toISOString();
    expect(JSON.parse(dispatch!.body)).toMatchObject({
      id: messageId,
      time: now,
      decidedat: now,
      transactionid: dispatch!.record.transactionId,
      data: { orderId: "o-1" },
    });
    expect(dispatch!.record.transactionId).not.toBe(made.dispatch.record.transactionId);
    expect(w.store.snapshot().dead).toEqual([]);
  });

  test("whose transport does not delete its entry leaves the letter where it is", async () => {
    const { w, made, key } = await buried();
    vi.spyOn(w.transport.reports, "discard").mockRejectedValue(new Error("500"));
    for (const act of ["redrive", "discard"])
      expect((await call(made, "POST", `/dead/${key}/${act}`)).status).toBe(503);
    expect(w.store.snapshot().dead).toHaveLength(1);
    expect(w.transport.take()).toEqual([]);
  });

  test("of two at once happens once", async () => {
    const { w, made, key } = await buried();
    const statuses = await Promise.all(
      [1, 2].map(async () => (await call(made, "POST", `/dead/${key}/redrive`)).status),
    );
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, 404]);
    expect(w.transport.take()).toHaveLength(1);
  });
});

describe("a discard", () => {
  test("deletes the transport's entry, then ours", async () => {
    const w = world();
    const made = await undeliverable(w);
    await report(w, made, made.letter);
    const { key } = made.dispatch.record;
    const order: string[] = [];
    const drop = w.transport.reports.discard.bind(w.transport.reports);
    vi.spyOn(w.transport.reports, "discard").mockImplementation((id) => {
      order.push(`transport, ours still there: ${w.store.snapshot().dead.length === 1}`);
      return drop(id);
    });
    const response = await call(made, "POST", `/dead/${key}/discard`);
    expect(await response.json()).toEqual({ discarded: key });
    expect(order).toEqual(["transport, ours still there: true"]);
    expect(w.store.snapshot().dead).toEqual([]);
    expect((await w.transport.reports.deadLetters()).letters).toEqual([]);
    expect((await call(made, "POST", `/dead/${key}/discard`)).status).toBe(404);
  });
});

describe("the operator of a service without a log", () => {
  test("is refused by a typed error that says what is missing", () => {
    const w = world();
    const ac = aftercommit({ publicUrl: PUBLIC_URL, receiver: w.receiver, inbox: w.store.inbox });
    expect(() => ac.operator()).toThrowError(
      expect.objectContaining({ code: "ERR_CONFIGURATION", problems: [expect.objectContaining({ path: "log" })] }),
    );
  });
});
