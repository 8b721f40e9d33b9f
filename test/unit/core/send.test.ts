import { expect, test } from "vitest";
import { send } from "../../../src/core/send.ts";
import type { Outgoing } from "../../../src/core/send.ts";
import { AT, sampleRecord } from "../../../src/testing/samples.ts";
import { serviceOf } from "../../races/race.ts";
import { world } from "../../support/world.ts";
import type { World } from "../../support/world.ts";

function outgoing(index: number, attempts = 0): Outgoing {
  return { record: sampleRecord({ index }), decision: { verdict: "committed", decidedAt: AT }, attempts };
}

const coreOf = (w: World) => serviceOf(w, {}).core;

test("what a service without a transport has to send waits, and is not lost", async () => {
  const w = world();
  const core = { ...coreOf(w), transport: undefined };
  expect(await send(core, [outgoing(0), outgoing(1)])).toEqual([
    { status: "later", reason: expect.any(String), afterMillis: expect.any(Number) },
    { status: "later", reason: expect.any(String), afterMillis: expect.any(Number) },
  ]);
  expect(await send(core, [])).toEqual([]);
});

test("a transport that fails as a whole leaves each delivery for later, with its words", async () => {
  const w = world();
  w.transport.fail("unreachable", { times: 2 });
  const results = await send(coreOf(w), [outgoing(0), outgoing(1)]);
  expect(results.map(({ status }) => status)).toEqual(["later", "later"]);
  expect(w.of("published")).toEqual([]);
});

test("what is not taken waits as long as the transport asks, and longer with each attempt otherwise", async () => {
  const w = world();
  const waitAfter = async (attempts: number, afterMillis?: number): Promise<number> => {
    w.transport.fail({ status: "retry", reason: "busy", ...(afterMillis === undefined ? {} : { afterMillis }) });
    const [result] = await send(coreOf(w), [outgoing(0, attempts)]);
    return result?.status === "later" ? result.afterMillis : Number.NaN;
  };
  for (const [attempts, whole] of [
    [0, 5_000],
    [1, 10_000],
    [5, 160_000],
    [9, 2_560_000],
    [10, 3_600_000],
    [1_000, 3_600_000],
  ] as const) {
    const wait = await waitAfter(attempts);
    expect(wait, `after ${attempts}`).toBeGreaterThanOrEqual(whole / 2);
    expect(wait, `after ${attempts}`).toBeLessThanOrEqual(whole);
  }
  expect(await waitAfter(0, 77_000)).toBe(77_000);
});

test("a dispatch names the failure route where there is one, and has no such field otherwise", async () => {
  const w = world();
  const core = coreOf(w);
  await send({ ...core, settings: { ...core.settings, failureUrl: undefined } }, [outgoing(0)]);
  await send({ ...core, settings: { ...core.settings, failureUrl: "https://shop.example.com/f" } }, [outgoing(1)]);
  const [without, named] = w.transport.accepted;
  expect(without).not.toHaveProperty("failureUrl");
  expect(named).toHaveProperty("failureUrl", "https://shop.example.com/f");
});
