import { cron, serve } from "aftercommit/deno";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { fakeService } from "./parts.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

type Answer = (request: Request, info: { readonly completed: Promise<void> }) => Promise<Response>;
type Register = (name: string, schedule: unknown, options: object, sweep: () => Promise<void>) => Promise<void>;

/** Deno, as far as it is used; requests end when the test says so. */
function stubDeno(options: { readonly variables?: Readonly<Record<string, string>>; readonly cron?: boolean } = {}) {
  const { variables = {}, cron: hasCron = true } = options;
  const started = vi.fn<(options: object, answer: Answer) => object>(() => ({
    addr: { port: 4321 },
    shutdown: () => new Promise<void>(() => undefined),
  }));
  const registered = vi.fn<Register>(() => Promise.resolve());
  const get = vi.fn((name: string) => variables[name]);
  vi.stubGlobal("Deno", {
    serve: started,
    ...(hasCron ? { cron: registered } : {}),
    env: { get },
    permissions: {
      querySync: ({ variable }: { variable: string }) => ({ state: variable in variables ? "granted" : "prompt" }),
    },
    addSignalListener: vi.fn(),
    removeSignalListener: vi.fn(),
    exit: vi.fn(),
  });
  return { started, registered, get };
}

const app = { fetch: () => new Response("ok") };

/** How long it takes until an end gives up on a request that hangs. */
async function millisToEnd(close: () => Promise<unknown>): Promise<number> {
  const start = Date.now();
  const closed = close();
  await vi.runAllTimersAsync();
  await closed;
  return Date.now() - start;
}

test("it sweeps by a timer, and ends within 10 s", async () => {
  const sweep = vi.fn(() => Promise.resolve());
  stubDeno();
  const { close, port } = await serve(app, fakeService(sweep).options);
  expect(port).toBe(4321);
  await vi.advanceTimersByTimeAsync(70_000);
  expect(sweep).toHaveBeenCalled();
  expect(await millisToEnd(close)).toBeGreaterThanOrEqual(10_000);
});

test("on Deno Deploy no timer sweeps, and the end comes before the platform's own after 5 s", async () => {
  const sweep = vi.fn(() => Promise.resolve());
  stubDeno({ variables: { DENO_DEPLOY: "true" } });
  const { close } = await serve(app, fakeService(sweep).options);
  expect(vi.getTimerCount()).toBe(0);
  const millis = await millisToEnd(close);
  expect(millis).toBeGreaterThanOrEqual(4_000);
  expect(millis).toBeLessThan(5_000);
  expect(sweep).not.toHaveBeenCalled();
});

test("a program that may not read its environment is not asked for leave, and is not on Deno Deploy", async () => {
  const { get } = stubDeno();
  await serve(app, fakeService().options);
  expect(get).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(1);
});

test("the options of Deno.serve stand, and it prints nothing by itself", async () => {
  const { started } = stubDeno();
  await serve(app, { ...fakeService().options, port: 0, hostname: "127.0.0.1", serverOptions: { key: "k", port: 1 } });
  const passed = started.mock.calls[0]![0];
  expect(passed).toMatchObject({ key: "k", port: 0, hostname: "127.0.0.1", onListen: expect.any(Function) as object });
});

test("a cron sweeps in the place of the timer, and is tried again by its schedule alone", async () => {
  const sweep = vi.fn(() => Promise.resolve());
  const { registered } = stubDeno();
  const { options } = fakeService(sweep);
  expect(cron(options.ac)).toBe(true);
  expect(registered).toHaveBeenCalledWith(
    "aftercommit-sweep",
    "* * * * *",
    { backoffSchedule: [] },
    expect.any(Function),
  );
  await serve(app, options);
  expect(vi.getTimerCount()).toBe(0);
  await registered.mock.calls[0]![3]();
  expect(sweep).toHaveBeenCalledTimes(1);
});

test("a cron's sweep that fails fails the cron's run, so that the platform shows it", async () => {
  const { registered } = stubDeno();
  cron(fakeService(() => Promise.reject(new Error("no Redis"))).options.ac, { schedule: { hour: { every: 1 } } });
  expect(registered.mock.calls[0]![1]).toEqual({ hour: { every: 1 } });
  await expect(registered.mock.calls[0]![3]()).rejects.toThrow("no Redis");
});

test("where there is no Deno.cron it says so, and the timer sweeps", async () => {
  const warned = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  stubDeno({ cron: false });
  const { options } = fakeService();
  expect(cron(options.ac)).toBe(false);
  expect(warned).toHaveBeenCalledWith(expect.stringContaining("--unstable-cron"));
  await serve(app, options);
  expect(vi.getTimerCount()).toBe(1);
});

test("elsewhere than on Deno it says so", async () => {
  vi.stubGlobal("Deno", undefined);
  const { options } = fakeService();
  await expect(serve(app, options)).rejects.toThrow(new TypeError(`Expected to run on Deno, found no "Deno".`));
  expect(() => cron(options.ac)).toThrow(TypeError);
});
