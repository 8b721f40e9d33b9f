import { aftercommit, ConfigurationError } from "aftercommit";
import type { AftercommitOptions } from "aftercommit";
import { memoryReceiver, memoryStore } from "aftercommit/memory";
import { expect, test, vi } from "vitest";
import { settingsOf } from "../../../adapters/serving/options.ts";
import { fakeService } from "./parts.ts";

const { options } = fakeService();

function problemsOf(act: () => unknown): readonly string[] {
  try {
    act();
  } catch (error) {
    if (ConfigurationError.is(error)) return error.problems.map(({ path }) => path);
    throw error;
  }
  return [];
}

test("without options it listens on port 3000, sweeps every 30 s and ends within 10 s by SIGTERM or SIGINT", () => {
  expect(settingsOf(options)).toMatchObject({
    port: 3000,
    sweepMillis: 30_000,
    drainMillis: 10_000,
    signals: ["SIGTERM", "SIGINT"],
  });
});

test("what cannot work is refused, all at once", () => {
  const wrong = { ...options, port: Number.NaN, sweepEvery: "often", drainWithin: 0 };
  expect(problemsOf(() => settingsOf(wrong))).toEqual(["serve.sweepEvery", "serve.drainWithin", "serve.port"]);
});

test("a process that leaves sweeping to others does not", () => {
  expect(settingsOf({ ...options, sweepEvery: false }).sweepMillis).toBeUndefined();
  expect(settingsOf(options, { sweepEvery: false }).sweepMillis).toBeUndefined();
  expect(settingsOf({ ...options, sweepEvery: "5s" }, { sweepEvery: false }).sweepMillis).toBe(5_000);
});

const consumer = (): AftercommitOptions => ({
  publicUrl: "https://stock.example.com",
  receiver: memoryReceiver(),
  inbox: memoryStore().inbox,
});

test("a service that only consumes has nothing to be swept, unless it is told to sweep: then it says what is missing", () => {
  const ac = aftercommit(consumer());
  expect(settingsOf({ ac }).sweepMillis).toBeUndefined();
  expect(problemsOf(() => settingsOf({ ac, sweepEvery: "5s" }))).toEqual(["log"]);
});

test("a service whose configuration cannot work does not start", () => {
  vi.spyOn(console, "error").mockImplementationOnce(() => undefined);
  const ac = aftercommit(() => ({ ...consumer(), publicUrl: "stock.example.com" }));
  expect(problemsOf(() => settingsOf({ ac }))).toContain("publicUrl");
});
