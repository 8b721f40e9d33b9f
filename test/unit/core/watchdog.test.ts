import { describe, expect, test, vi } from "vitest";
import type { AftercommitOptions, Transport } from "aftercommit";
import { ELSEWHERE, faulty, orderPaid, PUBLIC_URL, settled, world } from "../../support/world.ts";
import type { ServiceUnderTest, World } from "../../support/world.ts";

const WATCHDOG = `${PUBLIC_URL}/_aftercommit/watchdog`;

function watched(w: World, overrides: Partial<AftercommitOptions> = {}): ServiceUnderTest {
  const made = w.service({ recovery: { watchdog: "2m" }, ...overrides });
  made.app.post("/orders", made.ac.transaction(), async (c) => {
    await c.var.tx.publish(orderPaid, { orderId: "1" });
    if (c.req.query("dies") !== undefined) await new Promise(() => undefined);
    return c.text(c.var.tx.id);
  });
  return made;
}

const order = ({ app }: ServiceUnderTest, query = "") => app.request(`/orders${query}`, { method: "POST" });

describe("a watchdog", () => {
  test("is armed once for each bucket and isolate, at a time after the deadline of what is prepared", async () => {
    const w = world();
    const wake = vi.fn(w.transport.wake);
    const made = watched(w, { transport: { ...w.transport, wake } });
    await w.clock.advance(60_000);
    const startedAt = w.clock.now();
    await order(made);
    await order(made);
    expect(wake).toHaveBeenCalledOnce();
    const { url, notBeforeSeconds } = w.transport.wakes[0]!;
    expect(url).toBe(WATCHDOG);
    expect(notBeforeSeconds * 1_000).toBeGreaterThanOrEqual(startedAt + 120_000);
    expect(notBeforeSeconds * 1_000).toBeLessThanOrEqual(startedAt + 240_000);
    await w.clock.advance(120_000);
    await order(made);
    expect(wake).toHaveBeenCalledTimes(2);
    expect(w.transport.wakes.map(({ id }) => id)[1]).not.toBe(w.transport.wakes[0]!.id);
  });

  test("is shared by the isolates of one source, and by no other", async () => {
    const w = world();
    await order(watched(w));
    await order(watched(w));
    expect(w.transport.wakes).toHaveLength(1);
    await order(watched(w, { source: "another" }));
    expect(w.transport.wakes).toHaveLength(2);
    for (const { id } of w.transport.wakes) expect(id).toMatch(/^[A-Za-z0-9_.-]+$/);
  });

  test("is not armed by a request that publishes nothing", async () => {
    const w = world();
    const made = w.service({ recovery: { watchdog: "2m" } });
    made.app.get("/", made.ac.transaction(), (c) => c.text("ok"));
    await made.app.request("/");
    expect(w.transport.wakes).toEqual([]);
  });

  test("that the transport refuses makes publish reject, and the next publish asks again", async () => {
    const w = world();
    const wake = vi.fn<NonNullable<Transport["wake"]>>().mockRejectedValueOnce(new Error("429"));
    const made = watched(w, { transport: { ...w.transport, wake } });
    const refused = await order(made);
    expect(refused.status).toBe(503);
    expect(await refused.json()).toEqual({ error: { code: "ERR_TRANSPORT_UNAVAILABLE" } });
    await made.ac.drain();
    expect(w.store.snapshot().due).toEqual([]);
    expect((await order(made)).status).toBe(200);
    expect(wake).toHaveBeenCalledTimes(2);
  });

  test("is armed again after this machine's clock was ahead for a while", async () => {
    const w = world();
    let ahead = 86_400_000;
    const clock = { now: () => w.clock.now() + ahead, sleep: w.clock.sleep };
    const made = watched(w, { clock });
    await order(made);
    ahead = 0;
    await order(made);
    expect(w.transport.wakes).toHaveLength(2);
    expect(w.transport.wakes[1]!.notBeforeSeconds * 1_000).toBeLessThanOrEqual(w.clock.now() + 240_000);
  });

  test("finds what a request left, and goes on while anything is unsettled", async () => {
    const w = world();
    const made = watched(w, { routes: { [orderPaid.name]: ELSEWHERE }, checks: { order: () => "committed" } });
    made.app.post("/checked", made.ac.transaction({ check: "order" }), async (c) => {
      await c.var.tx.publish(orderPaid, { orderId: "1" });
      return new Promise<Response>(() => undefined);
    });
    void made.app.request("/checked", { method: "POST" });
    await settled();
    expect(w.transport.wakes).toHaveLength(1);
    await w.clock.advance(240_000);
    expect((await w.wakeUp(made.app)).map(({ status }) => status)).toEqual([200]);
    expect(w.transport.accepted).toHaveLength(1);
    expect(w.transport.wakes).toHaveLength(2);

    w.transport.markDelivered(w.transport.take()[0]!);
    for (let n = 0; n < 10; n++) {
      await w.clock.advance(240_000);
      await w.wakeUp(made.app);
    }
    expect(w.store.snapshot().due).toEqual([]);
    const { length } = w.transport.wakes;
    await w.clock.advance(3_600_000);
    await w.wakeUp(made.app);
    expect(w.transport.wakes).toHaveLength(length);
  });

  test("has its successor although nothing is due yet", async () => {
    const w = world();
    const made = watched(w);
    await order(made);
    await w.post(made.app, WATCHDOG, "{}");
    await w.clock.advance(240_000);
    await w.post(watched(w).app, WATCHDOG, "{}");
    expect(w.transport.wakes).toHaveLength(2);
  });

  test("has no successor for what is held or dead", async () => {
    const w = world();
    const made = watched(w);
    void order(made, "?dies");
    await settled();
    await w.clock.advance(240_000);
    await w.wakeUp(made.app);
    expect(w.store.snapshot()).toMatchObject({ due: [], held: [expect.anything()] });
    expect(w.transport.wakes).toHaveLength(1);
  });

  test("whose successor is refused answers 5xx, so that the transport calls again", async () => {
    const w = world();
    const made = watched(w);
    await order(made);
    await w.clock.advance(240_000);
    const next = watched(w, { transport: { ...w.transport, wake: () => Promise.reject(new Error("429")) } });
    const [call] = w.transport.wakes;
    expect((await w.post(next.app, call!.url, "{}")).status).toBe(503);
    expect((await w.post(watched(w).app, call!.url, "{}")).status).toBe(200);
    expect(w.transport.wakes).toHaveLength(2);
  });

  test("whose log is out of reach answers 5xx", async () => {
    const w = world();
    const made = watched(w, { log: faulty(w.store, () => "unreachable") });
    expect((await w.post(made.app, WATCHDOG, "{}")).status).toBe(503);
  });

  test("called by a stranger answers 401 and does nothing", async () => {
    const w = world();
    const made = watched(w, { log: faulty(w.store, () => "unreachable") });
    const forged = await w.receiver.sign(WATCHDOG, "{}", { secret: "guessed" });
    for (const headers of [new Headers(), forged]) {
      const response = await made.app.request(WATCHDOG, { method: "POST", headers, body: "{}" });
      expect(response.status).toBe(401);
    }
    expect(w.of("swept")).toEqual([]);
  });
});
