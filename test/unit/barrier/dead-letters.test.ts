import { describe, expect, test } from "vitest";
import type { AftercommitOptions, Dispatch, TransportDeadLetter } from "aftercommit";
import { EMPTY, memoryWorld, RESUME, SOURCE, steps, WORLDS } from "../../support/barrier-world.ts";
import type { BarrierWorld, Step } from "../../support/barrier-world.ts";
import { BEARER, ELSEWHERE, faulty, orderPaid, PUBLIC_URL, settled } from "../../support/world.ts";

const BASE = `${PUBLIC_URL}/_aftercommit`;
const DAY = 86_400_000;
const audit = { audit: true };
const toElsewhere = { routes: { [orderPaid.name]: ELSEWHERE } };

let orders = 0;

/** A committed order whose message the transport took. */
async function published(w: BarrierWorld, overrides: Partial<AftercommitOptions> = toElsewhere): Promise<Dispatch> {
  const { ordered } = w.shop(async (c) => {
    const { tx } = c.var;
    await tx.publish(orderPaid, { orderId: "o-1" });
    await w.work(tx, [`o-${++orders}`]);
    return c.text(tx.id);
  }, overrides);
  await ordered();
  return w.transport.take()[0]!;
}

/** What the transport says of it once it has given up. */
const givenUp = (w: BarrierWorld, dispatch: Dispatch, status = 502): TransportDeadLetter =>
  w.transport.markFailed(dispatch, { status, response: "bad gateway" });

async function report(
  w: BarrierWorld,
  letter: TransportDeadLetter,
  overrides: Partial<AftercommitOptions> = toElsewhere,
): Promise<readonly [status: number, recorded: string | undefined]> {
  const response = await w.post(w.service(overrides).app, `${BASE}/failed`, w.receiver.failureBody(letter));
  return [response.status, ((await response.json()) as { recorded?: string }).recorded];
}

/** A committed order whose message is dead in its row. */
async function dead(w: BarrierWorld, overrides: Partial<AftercommitOptions> = toElsewhere) {
  const dispatch = await published(w, overrides);
  const letter = givenUp(w, dispatch);
  expect(await report(w, letter, overrides)).toEqual([200, "buried"]);
  return { dispatch, letter, key: dispatch.record.key, id: dispatch.record.transactionId };
}

const operatorOf = (w: BarrierWorld, overrides: Partial<AftercommitOptions> = toElsewhere) =>
  w.service(overrides).ac.operator();
const resultOf = async (w: BarrierWorld, { record }: Dispatch) =>
  (await w.row(record.transactionId))?.results[record.key];
const epochs = (w: BarrierWorld) => w.transport.accepted.map(({ record }) => record.epoch);

for (const [name, make] of WORLDS) {
  describe(`a dead letter of a row (${name})`, () => {
    test("is written by the failure route, with what the transport tells", async () => {
      const w = make();
      const { dispatch, letter, key, id } = await dead(w);
      expect(await resultOf(w, dispatch)).toEqual({
        state: "dead",
        reason: "failed",
        detail: "bad gateway",
        status: 502,
        buriedAt: w.clock.now(),
        transportId: letter.transportId,
      });
      expect(await w.row(id)).toMatchObject({ settled: true });
      expect(w.of("dead")).toEqual([{ type: "dead", key, transactionId: id, reason: "failed" }]);
      expect(w.store.snapshot().dead).toEqual([]);
    });

    test("is recorded once, however often it is reported", async () => {
      const w = make();
      const { letter, dispatch } = await dead(w);
      const before = await resultOf(w, dispatch);
      await w.age(60_000);
      expect(await report(w, letter)).toEqual([200, "known"]);
      await operatorOf(w).sweep(audit);
      expect(await resultOf(w, dispatch)).toEqual(before);
      expect(w.of("dead")).toHaveLength(1);
    });

    test("is listed, counted and shown by the operator and by the routes", async () => {
      const w = make();
      const { key, id } = await dead(w);
      const { log } = operatorOf(w);
      const letter = { record: { key, transactionId: id, database: "main" }, reason: "failed", status: 502 };
      expect((await log.listDead()).items).toMatchObject([letter]);
      expect(await log.deadLetter(key)).toMatchObject(letter);
      expect(await log.counts()).toEqual({ unsettled: 0, held: 0, dead: 1, decisions: 1 });
      expect(await log.transaction(id)).toMatchObject({
        decision: { verdict: "committed" },
        dead: [letter],
        unsettled: [],
      });
      const { app } = w.service(toElsewhere);
      const headers = { authorization: `Bearer ${BEARER}` };
      const listed = await app.request(`${BASE}/dead`, { headers });
      expect(await listed.json()).toMatchObject({ items: [letter] });
      const counted = await app.request(`${BASE}/counts`, { headers });
      expect(await counted.json()).toMatchObject({ dead: 1 });
      const shown = await app.request(`${BASE}/transactions/${id}`, { headers });
      expect(await shown.json()).toMatchObject({ dead: [letter] });
    });

    test("is listed page by page, with those that the log has", async () => {
      const w = make();
      const keys = [];
      for (let n = 0; n < 5; n++) keys.push((await dead(w)).key);
      const inLog = givenUp(w, await published(w));
      const body = inLog.body.replaceAll(w.transport.accepted.at(-1)!.record.transactionId, "0197-lost");
      const { meta: _meta, ...rest } = inLog;
      expect(await report(w, { ...rest, body })).toEqual([200, "buried"]);
      const { log } = operatorOf(w);
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await log.listDead({ limit: 2, ...(cursor === undefined ? {} : { cursor }) });
        seen.push(...page.items.map(({ record }) => record.key));
        cursor = page.cursor;
      } while (cursor !== undefined);
      expect(seen).toHaveLength(6);
      expect(seen[0]).toMatch(/^0197-lost_/);
      expect(seen.slice(1)).toEqual(keys);
    });

    test("is recorded although the log is down", async () => {
      const w = make();
      const down = { ...toElsewhere, log: faulty(w.store, () => "unreachable") };
      const dispatch = await published(w);
      expect(await report(w, givenUp(w, dispatch), down)).toEqual([200, "buried"]);
      expect(await resultOf(w, dispatch)).toMatchObject({ state: "dead" });
    });

    test("is redriven and discarded although the log is down", async () => {
      const w = make();
      const down = { ...toElsewhere, log: faulty(w.store, () => "unreachable") };
      const [first, second] = [await dead(w), await dead(w)];
      await operatorOf(w, down).redrive(first.key);
      await operatorOf(w, down).discard(second.key);
      expect(epochs(w)).toEqual([undefined, undefined, expect.any(String)]);
      expect([await resultOf(w, first.dispatch), await resultOf(w, second.dispatch)]).toMatchObject([
        { state: "published" },
        { state: "discarded" },
      ]);
    });

    test("is found among the transport's own by an audit, where the report was lost", async () => {
      const w = make();
      const dispatch = await published(w);
      const { transportId } = givenUp(w, dispatch);
      expect(await operatorOf(w).sweep(audit)).toMatchObject({ buried: 1 });
      expect(await resultOf(w, dispatch)).toMatchObject({ state: "dead", transportId });
    });

    test("is not written where the consumer has done the message after all", async () => {
      const w = make();
      const dispatch = await published(w, {});
      const { app, ac } = w.service();
      app.post(
        "/consumers/receipt",
        ac.consumer(orderPaid, () => undefined),
      );
      const response = await w.post(app, dispatch.record.destination, dispatch.body, { meta: dispatch.record.meta });
      expect(response.status).toBe(200);
      expect(await report(w, givenUp(w, dispatch), {})).toEqual([200, "delivered"]);
      expect(await resultOf(w, dispatch)).toEqual({ state: "published" });
      expect(w.of("delivered").at(-1)).toMatchObject({ key: dispatch.record.key });
    });

    test("that no row knows is recorded in the log", async () => {
      const w = make();
      const dispatch = await published(w);
      const letter = givenUp(w, dispatch);
      const body = letter.body.replaceAll(dispatch.record.transactionId, "0197-lost");
      const { meta: _meta, ...rest } = letter;
      expect(await report(w, { ...rest, body })).toEqual([200, "buried"]);
      expect(w.store.snapshot().dead).toHaveLength(1);
      expect(await resultOf(w, dispatch)).toEqual({ state: "published" });
      const key = dispatch.record.key.replace(dispatch.record.transactionId, "0197-lost");
      await operatorOf(w).redrive(key);
      expect(w.transport.accepted).toHaveLength(2);
    });

    test("of a row that was reported before it was settled is dead all the same", async () => {
      const w = make();
      let letter: TransportDeadLetter | undefined;
      const act: Step = async (call, called) => {
        if (called === "barrier.settle" && letter === undefined) {
          letter = givenUp(w, w.transport.take()[0]!);
          expect(await report(w, letter)).toEqual([200, "buried"]);
        }
        return call();
      };
      await published(w, { ...toElsewhere, ...steps(w, act) });
      const [{ record }] = w.transport.accepted as [Dispatch];
      expect(await w.row(record.transactionId)).toMatchObject({
        settled: true,
        results: { [record.key]: { state: "dead", transportId: letter!.transportId } },
      });
    });

    test("reported while the database is away answers 5xx, so that the transport tells again", async () => {
      const w = make();
      const dispatch = await published(w);
      const letter = givenUp(w, dispatch);
      const away = {
        ...w.database,
        barrier: { ...w.database.barrier, find: () => Promise.reject(new Error("ECONNREFUSED")) },
      };
      expect(await report(w, letter, { ...toElsewhere, databases: { main: away } })).toEqual([503, undefined]);
      expect(await report(w, letter)).toEqual([200, "buried"]);
    });
  });

  describe(`redriving a dead letter of a row (${name})`, () => {
    test("sends it under its own message id and a new epoch, once", async () => {
      const w = make();
      const { dispatch, key, letter } = await dead(w);
      const redriven = await operatorOf(w).redrive(key);
      expect(redriven).toEqual({ key, messageId: dispatch.record.messageId });
      const [first, second] = w.transport.accepted as [Dispatch, Dispatch];
      expect([first.record.epoch, second.record.epoch]).toEqual([undefined, expect.stringMatching(/^.{16,}$/)]);
      expect(second.body).toBe(first.body);
      expect(await resultOf(w, dispatch)).toEqual({ state: "published", epoch: second.record.epoch });
      expect(await w.row(dispatch.record.transactionId)).toMatchObject({ settled: true });
      expect((await w.transport.reports.deadLetters()).letters).not.toContain(letter);
      await expect(operatorOf(w).redrive(key)).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
      expect(w.transport.accepted).toHaveLength(2);
    });

    test("stores the new epoch before anything is sent, so that a crash sends it later", async () => {
      const w = make();
      const { dispatch, key } = await dead(w);
      const act: Step = (call, called) => (called === "transport.publish" ? new Promise(() => undefined) : call());
      const clock = { now: w.clock.now, sleep: () => new Promise<never>(() => undefined) };
      void operatorOf(w, { ...toElsewhere, ...steps(w, act), clock }).redrive(key);
      await settled();
      const half = await resultOf(w, dispatch);
      expect(half).toMatchObject({ state: "half", epoch: expect.any(String) });
      expect(w.transport.accepted).toHaveLength(1);
      await w.age(1_000);
      expect(await operatorOf(w).sweep(audit)).toMatchObject({ published: 1 });
      expect(w.transport.accepted[1]!.record.epoch).toBe(half!.epoch);
      expect(await resultOf(w, dispatch)).toEqual({ state: "published", epoch: half!.epoch });
    });

    test("ignores what is reported of the old epoch from then on, and takes what is of the new one", async () => {
      const w = make();
      const { dispatch, key, letter } = await dead(w);
      await operatorOf(w).redrive(key);
      const { transportId: _id, ...old } = letter;
      expect(await report(w, { ...old, transportId: "a second report" })).toEqual([200, "ignored"]);
      expect(await resultOf(w, dispatch)).toMatchObject({ state: "published" });
      const [, second] = w.transport.accepted as [Dispatch, Dispatch];
      expect(await report(w, givenUp(w, second, 410))).toEqual([200, "buried"]);
      expect(await resultOf(w, dispatch)).toMatchObject({ state: "dead", status: 410, epoch: second.record.epoch });
      await operatorOf(w).redrive(key);
      expect(new Set(epochs(w)).size).toBe(3);
    });

    test("that the transport does not take waits in the row for a sweep", async () => {
      const w = make();
      const { dispatch, key } = await dead(w);
      w.transport.fail("unreachable");
      await operatorOf(w).redrive(key);
      expect(await w.row(dispatch.record.transactionId)).toMatchObject({ settled: false });
      await w.age(RESUME);
      await operatorOf(w).sweep(audit);
      expect(w.transport.accepted).toHaveLength(2);
      expect(await w.row(dispatch.record.transactionId)).toMatchObject({ settled: true });
    });

    test("twice at once sends it under one epoch", async () => {
      const w = make();
      const { key } = await dead(w);
      const results = await Promise.allSettled([operatorOf(w).redrive(key), operatorOf(w).redrive(key)]);
      expect(results.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
      expect(results.find(({ status }) => status === "rejected")).toMatchObject({ reason: { code: "ERR_NOT_FOUND" } });
      expect(w.transport.accepted).toHaveLength(2);
    });

    test("too late is refused but as a new message", async () => {
      const w = make();
      const { key, dispatch } = await dead(w);
      await w.age(31 * DAY);
      await expect(operatorOf(w).redrive(key)).rejects.toMatchObject({ code: "ERR_EXPIRED" });
      const sent = await operatorOf(w).redrive(key, { asNew: true });
      expect(sent.key).not.toBe(key);
      const [first, second] = w.transport.accepted as [Dispatch, Dispatch];
      expect(second.record.messageId).not.toBe(first.record.messageId);
      expect(JSON.parse(second.body)).toMatchObject({ data: { orderId: "o-1" }, id: second.record.messageId });
      expect(await resultOf(w, dispatch)).toMatchObject({ state: "discarded" });
      expect(await w.row(second.record.transactionId)).toMatchObject({ verdict: "committed", settled: true });
      expect(await report(w, givenUp(w, second))).toEqual([200, "buried"]);
      expect(await resultOf(w, second)).toMatchObject({ state: "dead" });
    });
  });

  describe(`discarding a dead letter of a row (${name})`, () => {
    test("drops it here and at the transport, for good", async () => {
      const w = make();
      const { dispatch, key, letter } = await dead(w);
      await operatorOf(w).discard(key);
      expect(await resultOf(w, dispatch)).toMatchObject({ state: "discarded" });
      expect((await w.transport.reports.deadLetters()).letters).toEqual([]);
      expect(await operatorOf(w).log.counts()).toMatchObject({ dead: 0, unsettled: 0 });
      for (const call of [operatorOf(w).discard(key), operatorOf(w).redrive(key)]) {
        await expect(call).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
      }
      expect(await report(w, letter)).toEqual([200, "ignored"]);
      expect(await resultOf(w, dispatch)).toMatchObject({ state: "discarded" });
    });
  });

  describe(`clean-up of dead letters of rows (${name})`, () => {
    test("keeps a row with a dead delivery, and drops one whose dead delivery was discarded", async () => {
      const w = make();
      const [kept, discarded] = [await dead(w), await dead(w)];
      await operatorOf(w).discard(discarded.key);
      await w.age(34 * DAY);
      await operatorOf(w).sweep(audit);
      expect(await w.row(kept.id)).toBeDefined();
      expect(await w.row(discarded.id)).toBeUndefined();
      await w.age(400 * DAY);
      await operatorOf(w).sweep(audit);
      expect((await operatorOf(w).log.listDead()).items).toHaveLength(1);
    });
  });
}

describe("Redis emptied or back from an older state", () => {
  test("changes no dead letter of a row", async () => {
    const w = memoryWorld();
    const older = w.store.snapshot();
    const { key } = await dead(w);
    for (const snapshot of [EMPTY, older]) {
      w.store.restore(snapshot);
      expect((await operatorOf(w).log.listDead()).items).toMatchObject([{ record: { key } }]);
      await operatorOf(w).sweep(audit);
    }
    expect(w.transport.accepted).toHaveLength(1);
    expect(await w.database.reader.counts(SOURCE)).toMatchObject({ dead: 1 });
  });
});
