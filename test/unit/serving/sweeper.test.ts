import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { startSweeper } from "../../../adapters/serving/sweeper.ts";
import { fakeService, gate } from "./parts.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** A sweeper every 1,000 ms whose random numbers are these, one after the other, then 0.5. */
function sweeper(sweep: (options?: object) => Promise<unknown>, randoms: number[] = []) {
  const errors: unknown[] = [];
  const { options } = fakeService(sweep);
  const started = startSweeper(options.ac, {
    everyMillis: 1_000,
    maxMillis: 5_000,
    onError: (error) => errors.push(error),
    random: () => randoms.shift() ?? 0.5,
  });
  return { ...started, errors };
}

test("the first sweep comes after a random part of the interval, the next ones after the interval give or take a quarter", async () => {
  const at: number[] = [];
  const start = Date.now();
  const { stop } = sweeper(async () => void at.push(Date.now() - start), [0.2, 0, 0.999]);
  await vi.advanceTimersByTimeAsync(3_500);
  await stop();
  expect(at).toEqual([200, 950, 2199, 3199]);
});

test("a sweep that takes longer than the interval is not overtaken by another", async () => {
  const first = gate();
  const begun: number[] = [];
  const { stop, sweeping } = sweeper(async () => {
    begun.push(begun.length);
    if (begun.length === 1) await first.passed;
  });
  await vi.advanceTimersByTimeAsync(10_000);
  expect(begun).toHaveLength(1);
  expect(sweeping()).toBe(true);
  first.open();
  await vi.advanceTimersByTimeAsync(999);
  expect(begun).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(begun).toHaveLength(2);
  await stop();
});

test("a sweep that throws is told, and the next one is tried all the same", async () => {
  let sweeps = 0;
  const { stop, errors, sweeping } = sweeper(() => {
    sweeps++;
    return Promise.reject(new Error(`sweep ${sweeps}`));
  });
  await vi.advanceTimersByTimeAsync(2_500);
  expect(sweeping()).toBe(false);
  expect(errors).toEqual([new Error("sweep 1"), new Error("sweep 2"), new Error("sweep 3")]);
  await stop();
});

test("a service that cannot be configured is told, and tried again", async () => {
  const errors: unknown[] = [];
  const ac = {
    operator: () => {
      throw new Error("not configured");
    },
    drain: () => Promise.resolve(),
  };
  const onError = (error: unknown) => void errors.push(error);
  const { stop } = startSweeper(ac, { everyMillis: 1_000, maxMillis: 1, onError, random: () => 0.5 });
  await vi.advanceTimersByTimeAsync(1_500);
  expect(errors).toHaveLength(2);
  await stop();
});

test("stopping ends the wait at once, and begins no other sweep", async () => {
  const sweep = vi.fn(() => Promise.resolve());
  const { stop } = sweeper(sweep);
  await stop();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(sweep).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
});

test("stopping resolves when the sweep that runs has ended, and not before", async () => {
  const running = gate();
  const sweep = vi.fn(() => running.passed);
  const { stop } = sweeper(sweep);
  await vi.advanceTimersByTimeAsync(500);
  const stopped = vi.fn();
  const stopping = stop().then(stopped);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(stopped).not.toHaveBeenCalled();
  running.open();
  await stopping;
  expect(sweep).toHaveBeenCalledTimes(1);
});

test("a sweep is told how long it may go on", async () => {
  const sweep = vi.fn(() => Promise.resolve());
  const { stop } = sweeper(sweep);
  await vi.advanceTimersByTimeAsync(500);
  expect(sweep).toHaveBeenCalledWith({ maxMillis: 5_000 });
  await stop();
});
