import { describe, expect, test } from "vitest";
import { sendUnprotected } from "../../../src/core/unprotected.ts";
import { AT, LONG, sampleId, sampleRecord } from "../../../src/testing/samples.ts";
import { serviceOf } from "../../races/race.ts";
import { faulty, world } from "../../support/world.ts";
import type { StoreFault, World } from "../../support/world.ts";

const ID = sampleId(1);
const COMMITTED = { verdict: "committed", decidedAt: AT } as const;
const record = (index: number) => sampleRecord({ index, deadlineMillis: LONG });

function sending(w: World, count: number, fault: (name: string) => StoreFault = () => "none") {
  const { core } = serviceOf(w, { log: faulty(w.store, fault) });
  const records = Array.from({ length: count }, (_, index) => record(index));
  let ended = false;
  const done = sendUnprotected(core, ID, records, COMMITTED).then(() => (ended = true));
  return { done, ended: () => ended };
}

const indexes = (w: World) => w.transport.accepted.map(({ record: { index } }) => index);

describe("what no store holds", () => {
  test("is sent, and the log is told of the decision", async () => {
    const w = world();
    await sending(w, 2).done;
    expect(indexes(w)).toEqual([0, 1]);
    expect((await w.store.transactions.decisions([ID])).get(ID)).toEqual(COMMITTED);
    expect(w.of("lost")).toEqual([]);
    expect(w.clock.sleepers).toBe(0);
  });

  test("and was not taken is tried again after the longest wait that was asked for, alone", async () => {
    const w = world();
    w.transport.fail({ status: "retry", reason: "busy", afterMillis: 50_000 }, { when: (d) => d.record.index === 0 });
    w.transport.fail({ status: "retry", reason: "busy", afterMillis: 20_000 }, { when: (d) => d.record.index === 1 });
    const { done, ended } = sending(w, 3);
    await w.clock.advance(49_999);
    expect([indexes(w), ended()]).toEqual([[2], false]);
    await w.clock.advance(1);
    await done;
    expect(indexes(w)).toEqual([2, 0, 1]);
    expect(w.transport.calls.map((call) => call.length)).toEqual([3, 2]);
    expect(w.of("publishFailed")).toHaveLength(2);
  });

  test("is lost after four attempts, and told of, without another wait", async () => {
    const w = world();
    w.transport.fail({ status: "retry", reason: "busy", afterMillis: 60_000 }, { times: 8 });
    const { done, ended } = sending(w, 2);
    await w.clock.advance(179_999);
    expect([w.transport.calls.length, ended()]).toEqual([3, false]);
    await w.clock.advance(1);
    await done;
    expect(w.transport.calls).toHaveLength(4);
    expect(w.of("lost")).toEqual([{ type: "lost", transactionId: ID, deliveries: 2 }]);
    expect(w.clock.sleepers).toBe(0);
  });

  test("and is refused is kept for a person, with the status where there was one", async () => {
    for (const code of [413, undefined]) {
      const w = world();
      w.transport.fail({ status: "refused", reason: "too large", ...(code === undefined ? {} : { code }) });
      await sending(w, 1).done;
      const letter = await w.store.reader.deadLetter(record(0).key);
      expect(letter).toMatchObject({ reason: "refused", detail: "too large", decidedAt: AT, buriedAt: w.clock.now() });
      expect(letter?.status).toBe(code);
      expect(Object.keys(letter!).includes("status")).toBe(code !== undefined);
      expect([w.of("lost"), w.transport.calls.length]).toEqual([[], 1]);
    }
  });

  test("and is refused is lost where it cannot be kept, and told of", async () => {
    const w = world();
    w.transport.fail({ status: "refused", reason: "too large" });
    await sending(w, 1, (name) => (name === "deadLetters.bury" ? "unreachable" : "none")).done;
    expect(w.of("recordFailed")).toHaveLength(1);
    expect(w.of("lost")).toEqual([{ type: "lost", transactionId: ID, deliveries: 1 }]);
  });

  test("is sent although the log cannot be told, which is told of", async () => {
    const w = world();
    await sending(w, 1, (name) => (name === "transactions.decide" ? "unreachable" : "none")).done;
    expect(indexes(w)).toEqual([0]);
    expect(w.of("recordFailed")).toHaveLength(1);
  });

  test("and is nothing asks the transport nothing", async () => {
    const w = world();
    await sending(w, 0).done;
    expect([w.transport.calls, w.of("lost")]).toEqual([[], []]);
  });
});
