import { expect, test } from "vitest";
import { DEFAULT_START, simulatedClock } from "../../../src/testing/index.ts";

test("time stands still until it is advanced", async () => {
  const clock = simulatedClock();
  expect(clock.now()).toBe(DEFAULT_START);
  await clock.advance(1_500);
  expect(clock.now()).toBe(DEFAULT_START + 1_500);
});

test("sleepers wake in the order of their times, each at its own", async () => {
  const clock = simulatedClock(0);
  const woken: [string, number][] = [];
  const sleep = async (name: string, millis: number): Promise<void> => {
    await clock.sleep(millis);
    woken.push([name, clock.now()]);
  };
  void sleep("late", 30);
  void sleep("soon", 10);
  void sleep("never", 100);
  await clock.advance(50);
  expect(woken).toEqual([
    ["soon", 10],
    ["late", 30],
  ]);
  expect(clock.sleepers).toBe(1);
});

test("a sleep that begins while time advances is counted too", async () => {
  const clock = simulatedClock(0);
  const woken: number[] = [];
  void (async () => {
    for (;;) {
      await clock.sleep(10);
      woken.push(clock.now());
    }
  })();
  await clock.advance(35);
  expect(woken).toEqual([10, 20, 30]);
  expect(clock.now()).toBe(35);
});

test("an aborted sleep ends at once, and one with an aborted signal never begins", async () => {
  const clock = simulatedClock(0);
  const abort = new AbortController();
  const slept = clock.sleep(1_000, abort.signal);
  abort.abort();
  await slept;
  await clock.sleep(1_000, abort.signal);
  expect(clock.sleepers).toBe(0);
  expect(clock.now()).toBe(0);
});
