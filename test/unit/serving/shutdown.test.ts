import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { settingsOf } from "../../../adapters/serving/options.ts";
import type { ServeOptions } from "../../../adapters/serving/options.ts";
import { attend } from "../../../adapters/serving/server.ts";
import type { Server } from "../../../adapters/serving/server.ts";
import { fakeHost, fakeListener, fakeService, gate } from "./parts.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const CLEAN = { clean: true, requests: 0, sweep: false, background: false, release: false };

/** A server with one request in flight, 10 s to end, and sweeps every second. */
function serving(options: ServeOptions) {
  const requests = gate();
  const listener = fakeListener(requests);
  const host = fakeHost();
  const all = { sweepEvery: "1s", drainWithin: "10s", ...options };
  const server = attend(listener, all, settingsOf(all), host);
  return { server, listener, host, requests };
}

/** Closes a server, and tells when that resolved. */
function closing(server: Server) {
  const closed = vi.fn();
  void server.close().then(closed);
  return closed;
}

test("the end waits for requests, then for what they left to be done, then releases what the app holds", async () => {
  const order: string[] = [];
  const background = gate();
  const { options } = fakeService(undefined, async () => {
    order.push("drain");
    await background.passed;
  });
  const { server, requests, listener } = serving({ ...options, release: () => order.push("release") });
  const closed = closing(server);
  await vi.advanceTimersByTimeAsync(1_000);
  expect([listener.calls, order]).toEqual([["stop"], []]);
  requests.open();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(order).toEqual(["drain"]);
  background.open();
  await vi.advanceTimersByTimeAsync(1);
  expect(closed).toHaveBeenCalledWith(CLEAN);
  expect(order.at(-1)).toBe("release");
  expect(listener.calls).toEqual(["stop"]);
});

test("the end waits for a sweep that runs", async () => {
  const sweep = gate();
  const { options } = fakeService(() => sweep.passed);
  const { server, requests } = serving(options);
  requests.open();
  await vi.advanceTimersByTimeAsync(1_000);
  const closed = closing(server);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(closed).not.toHaveBeenCalled();
  sweep.open();
  await vi.advanceTimersByTimeAsync(1);
  expect(closed).toHaveBeenCalledWith(CLEAN);
});

test("what has not ended when the time is up is cut off, and told", async () => {
  const never = new Promise<void>(() => undefined);
  const { options, told } = fakeService(
    () => never,
    () => never,
  );
  const { server, listener } = serving({ ...options, release: () => never });
  await vi.advanceTimersByTimeAsync(1_000);
  const closed = closing(server);
  await vi.advanceTimersByTimeAsync(9_999);
  expect(closed).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(5);
  expect(closed).toHaveBeenCalledWith({ clean: false, requests: 1, sweep: true, background: true, release: true });
  expect(listener.calls).toEqual(["stop", "cut"]);
  expect(told()).toEqual([
    "Expected the end within 10000 ms, found 1 request, a sweep, work after responses, the release left.",
  ]);
});

test("a request that hangs does not hide that the work after other responses ended", async () => {
  const { options, told } = fakeService();
  const { server } = serving({ ...options, sweepEvery: false });
  const closed = closing(server);
  await vi.advanceTimersByTimeAsync(10_005);
  expect(closed).toHaveBeenCalledWith({ ...CLEAN, clean: false, requests: 1 });
  expect(told()).toEqual(["Expected the end within 10000 ms, found 1 request left."]);
});

test("a step that fails is told, and keeps no other from being taken", async () => {
  const { options, told } = fakeService(undefined, () => Promise.reject(new Error("no drain")));
  const release = vi.fn(() => {
    throw new Error("no release");
  });
  const { server, requests } = serving({ ...options, release });
  requests.open();
  const closed = closing(server);
  await vi.advanceTimersByTimeAsync(5);
  expect(closed).toHaveBeenCalledTimes(1);
  expect(release).toHaveBeenCalledTimes(1);
  expect(new Set(told())).toEqual(new Set(["no drain", "no release"]));
});

test("closing twice is closing once", async () => {
  const { options } = fakeService();
  const { server, requests, listener } = serving(options);
  requests.open();
  const [first, second] = [closing(server), closing(server)];
  await vi.advanceTimersByTimeAsync(5);
  expect(first).toHaveBeenCalledWith(CLEAN);
  expect(second).toHaveBeenCalledWith(CLEAN);
  expect(listener.calls).toEqual(["stop"]);
});

test("a signal ends the process with code 0 when everything has ended", async () => {
  const { options } = fakeService();
  const { requests, host } = serving(options);
  host.signal("SIGTERM");
  await vi.advanceTimersByTimeAsync(5_000);
  expect(host.exits).toEqual([]);
  requests.open();
  await vi.advanceTimersByTimeAsync(5);
  expect(host.exits).toEqual([0]);
});

test("a signal ends the process with code 1 where something was left", async () => {
  const { options } = fakeService();
  const { host } = serving(options);
  host.signal("SIGINT");
  await vi.advanceTimersByTimeAsync(10_005);
  expect(host.exits).toEqual([1]);
});

test.each([
  ["SIGTERM", 143],
  ["SIGINT", 130],
])("a second signal, %s, ends the process at once with code %i", async (signal, code) => {
  const { options } = fakeService();
  const { host } = serving(options);
  host.signal("SIGTERM");
  await vi.advanceTimersByTimeAsync(10);
  host.signal(signal);
  expect(host.exits).toEqual([code]);
});

test("a signal during a close by hand waits for that close, then ends the process", async () => {
  const { options } = fakeService();
  const { server, requests, host, listener } = serving(options);
  closing(server);
  host.signal("SIGTERM");
  requests.open();
  await vi.advanceTimersByTimeAsync(5);
  expect(host.exits).toEqual([0]);
  expect(listener.calls).toEqual(["stop"]);
});

test("a server that was closed by hand leaves no timer and no signal handler behind", async () => {
  const { options } = fakeService();
  const { server, requests, host } = serving(options);
  expect(host.listening()).toBe(2);
  requests.open();
  closing(server);
  await vi.advanceTimersByTimeAsync(5);
  expect(host.listening()).toBe(0);
  expect(host.exits).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});

test("without signals there is no handler", () => {
  const { options } = fakeService();
  expect(serving({ ...options, signals: [] }).host.listening()).toBe(0);
});

test("a sweep that fails is told the observer, whose own errors are ignored", async () => {
  const event = vi.fn(() => {
    throw new Error("no observer");
  });
  const { options } = fakeService(() => Promise.reject(new Error("no Redis")));
  const { server, requests } = serving({ ...options, observer: { event } });
  await vi.advanceTimersByTimeAsync(2_500);
  expect(event).toHaveBeenCalledWith({ type: "background", error: new Error("no Redis") });
  requests.open();
  const closed = closing(server);
  await vi.advanceTimersByTimeAsync(5);
  expect(closed).toHaveBeenCalledWith(CLEAN);
});
