import { describe, expect, test, vi } from "vitest";
import { carryOut } from "../../../src/core/dispatch.ts";
import type { Decided } from "../../../src/core/dispatch.ts";
import { AT, sampleRecord } from "../../../src/testing/samples.ts";
import { serviceOf } from "../../races/race.ts";
import { world } from "../../support/world.ts";
import type { World } from "../../support/world.ts";

function decided(index: number, more: Partial<Decided> & { readonly on?: "commit" | "rollback" } = {}): Decided {
  const { on = "commit", ...rest } = more;
  return {
    record: sampleRecord({ index, on }),
    decision: { verdict: "committed", decidedAt: AT },
    attempts: 0,
    ...rest,
  };
}

/** A core whose log keeps what it was told of deliveries. */
function told(w: World) {
  const record = vi.fn(w.store.transactions.record);
  const log = { ...w.store, transactions: { ...w.store.transactions, record } };
  const { core } = serviceOf(w, { log });
  return { core, record, changes: () => record.mock.calls.flatMap(([changes]) => changes) };
}

describe("carrying decisions out", () => {
  test("sends what is for the decision, revokes what is against it, and counts what was taken", async () => {
    const w = world();
    const { core, record, changes } = told(w);
    w.transport.fail({ status: "retry", reason: "busy" }, { when: ({ record: { index } }) => index === 1 });
    w.transport.fail({ status: "refused", reason: "too large", code: 413 }, { when: ({ record: r }) => r.index === 2 });
    const items = [decided(0, { token: 7 }), decided(1), decided(2), decided(3, { on: "rollback", token: 8 })];
    expect(await carryOut(core, items)).toBe(1);
    expect(record).toHaveBeenCalledOnce();
    const [revoked, sent, again, buried] = changes();
    expect(revoked).toEqual({ record: items[3]!.record, token: 8, settled: true });
    expect(sent).toMatchObject({ record: items[0]!.record, token: 7, mark: "published", attempts: 0 });
    expect(again).toEqual({ record: items[1]!.record, mark: "half", attempts: 1, afterMillis: expect.any(Number) });
    expect(buried).toEqual({ record: items[2]!.record, settled: true });
    expect(w.of("revoked").map(({ key }) => key)).toEqual([items[3]!.record.key]);
    expect(await w.store.reader.deadLetter(items[2]!.record.key)).toMatchObject({ reason: "refused", status: 413 });
  });

  test("for a rollback sends the other way round", async () => {
    const w = world();
    const { core } = told(w);
    const decision = { verdict: "rolledBack", decidedAt: AT } as const;
    expect(await carryOut(core, [decided(0, { decision }), decided(1, { on: "rollback", decision })])).toBe(1);
    expect(w.transport.accepted.map(({ record }) => record.index)).toEqual([1]);
  });

  test("asks nobody where there is nothing to be done", async () => {
    const w = world();
    const { core, record } = told(w);
    expect(await carryOut(core, [])).toBe(0);
    expect(record).not.toHaveBeenCalled();
    expect(w.transport.calls).toEqual([]);
  });

  test("of which the log could not be told still counts, and is told of; nothing is revoked for certain", async () => {
    const w = world();
    const { core, record } = told(w);
    record.mockRejectedValueOnce(new Error("out of reach"));
    expect(await carryOut(core, [decided(0), decided(1, { on: "rollback" })])).toBe(1);
    expect(w.of("recordFailed")).toHaveLength(1);
    expect(w.of("revoked")).toEqual([]);
  });

  test("of a refused delivery that could not be buried tries again later", async () => {
    const w = world();
    const { core, changes } = told(w);
    const bury = vi.fn(() => Promise.reject(new Error("full")));
    const store = { ...core.store!, deadLetters: { ...core.store!.deadLetters, bury } };
    w.transport.fail({ status: "refused", reason: "too large" });
    expect(await carryOut({ ...core, store }, [decided(0, { attempts: 3 })])).toBe(0);
    expect(changes()).toMatchObject([{ mark: "half", attempts: 4 }]);
    expect(w.of("publishFailed")).toHaveLength(1);
    expect(bury.mock.calls).toEqual([[expect.not.objectContaining({ status: undefined })]]);
  });

  test("counts attempts no further than a store does", async () => {
    const w = world();
    const { core, changes } = told(w);
    w.transport.fail({ status: "retry", reason: "busy" }, { times: 2 });
    await carryOut(core, [decided(0, { attempts: 254 }), decided(1, { attempts: 255 })]);
    expect(changes()).toMatchObject([{ attempts: 255 }, { attempts: 255 }]);
  });

  test("looks for the arrival of a message that is to wait only once it has left", async () => {
    const w = world();
    const { core, changes } = told(w);
    const { confirmAfterMillis } = core.settings;
    const at = (millis: number) => ({ ...sampleRecord(), send: { notBefore: w.clock.now() + millis } });
    await carryOut(core, [decided(0), { ...decided(1), record: at(50_000) }, { ...decided(2), record: at(-50_000) }]);
    expect(changes()).toMatchObject([
      { afterMillis: confirmAfterMillis },
      { afterMillis: confirmAfterMillis + 50_000 },
      { afterMillis: confirmAfterMillis },
    ]);
  });
});
