import { expect, onTestFinished, test, vi } from "vitest";
import { listenOnLoopback } from "../../../adapters/dev/loopback-server.ts";
import { findFreePort } from "../free-port.ts";
import { startGatedQStash } from "./gated-qstash.ts";
import { startProgram } from "./program.ts";
import type { Program, Runtime } from "./program.ts";

const TIMEOUT_MILLIS = 60_000;
const PATIENT = { timeout: 20_000, interval: 20 };

/** What holds for `serve` in each runtime, in processes of its own. */
export function servingSuite(runtime: Runtime): void {
  async function start(env: Readonly<Record<string, string>> = {}) {
    const qstash = await startGatedQStash();
    const port = await findFreePort();
    const url = `http://127.0.0.1:${port}`;
    const run = async (): Promise<Program> => {
      const program = startProgram(runtime, `test/runtime/${runtime}/service.ts`, {
        ...qstash.env,
        PORT: String(port),
        PUBLIC_URL: url,
        ...env,
      });
      await program.prints(`listening on ${port}`);
      return program;
    };
    const order = (id: string) => fetch(`${url}/orders/${id}`, { method: "POST" });
    const refusesNewRequests = () => vi.waitFor(() => expect(fetch(url)).rejects.toThrow(), PATIENT);
    return { ...qstash, program: await run(), run, order, refusesNewRequests };
  }

  /** An address that does not answer until the test says so. */
  async function startSlowAnswer() {
    let answer = (): void => undefined;
    const answered = new Promise<void>((resolve) => (answer = resolve));
    const server = await listenOnLoopback(async () => {
      await answered;
      return new Response("now");
    });
    onTestFinished(() => server.close());
    return { url: server.url, answer };
  }

  test(
    `on ${runtime}, a request in flight when the signal comes is answered, what it publishes goes out, and the process ends with code 0`,
    { timeout: TIMEOUT_MILLIS },
    async () => {
      const slow = await startSlowAnswer();
      // Less than the 5 s for which a client may keep its connection: that must not hold up the end.
      const { program, run, order, dev, hold, open, refusesNewRequests } = await start({
        SLOW_URL: slow.url,
        DRAIN_WITHIN: "4s",
      });
      const held = hold();
      const response = order("slow");
      await program.prints("handling slow");
      program.signal("SIGTERM");
      await refusesNewRequests();
      slow.answer();
      expect((await response).status).toBe(201);
      await held;
      expect(dev.qstash.engine.stats().published).toBe(0);
      expect(program.printed()).not.toContain("released");
      open();
      expect(await program.exited, program.printed()).toBe(0);
      expect(program.printed()).toContain("released");
      expect(dev.qstash.engine.stats().published).toBe(1);

      const next = await run();
      await next.prints("consumed slow");
      expect(next.printed().match(/consumed slow/g)).toHaveLength(1);
    },
  );

  test(
    `on ${runtime}, a request that hangs is cut off when the time is up: the process ends with code 1, and says so`,
    { timeout: TIMEOUT_MILLIS },
    async () => {
      const { program, order } = await start({ DRAIN_WITHIN: "300ms" });
      const cutOff = expect(order("hangs")).rejects.toThrow();
      await program.prints("handling hangs");
      program.signal("SIGINT");
      expect(await program.exited, program.printed()).toBe(1);
      await cutOff;
      expect(program.printed()).toContain("Expected the end within 300 ms, found 1 request left.");
    },
  );

  test(`on ${runtime}, a second signal ends the process at once`, { timeout: TIMEOUT_MILLIS }, async () => {
    const { program, order, refusesNewRequests } = await start({ DRAIN_WITHIN: "1h" });
    const cutOff = expect(order("hangs")).rejects.toThrow();
    await program.prints("handling hangs");
    program.signal("SIGTERM");
    await refusesNewRequests();
    program.signal("SIGTERM");
    expect(await program.exited, program.printed()).toBe(143);
    await cutOff;
    expect(program.printed()).not.toContain("released");
  });

  test(
    `on ${runtime}, sweeps come again and again, one at a time, also after one that failed; the one that runs is waited for`,
    { timeout: TIMEOUT_MILLIS },
    async () => {
      const { program } = await start({ SWEEP_EVERY: "20ms" });
      await program.prints("sweep 7 begins");
      program.signal("SIGTERM");
      expect(await program.exited, program.printed()).toBe(0);
      const lines = program.printed().match(/^sweep \d+ (begins|ends)$/gm) ?? [];
      expect(lines.length).toBeGreaterThanOrEqual(14);
      const expected = lines.map((_, i) => `sweep ${Math.floor(i / 2) + 1} ${i % 2 === 0 ? "begins" : "ends"}`);
      expect(lines).toEqual(expected);
      expect(program.printed()).toContain("Error: sweep 3 failed");
      expect(program.printed()).toContain("Error: sweep 6 failed");
      expect(program.printed()).toContain(`"aftercommit":"swept"`);
    },
  );

  test(
    `on ${runtime}, without a request and without work a signal ends the process with code 0`,
    { timeout: TIMEOUT_MILLIS },
    async () => {
      const { program } = await start();
      program.signal("SIGTERM");
      expect(await program.exited, program.printed()).toBe(0);
    },
  );

  test(
    `on ${runtime}, an address that is taken ends the start with the system's error`,
    { timeout: TIMEOUT_MILLIS },
    async () => {
      const taken = await startSlowAnswer();
      const { port } = new URL(taken.url);
      const { env } = await startGatedQStash();
      const entry = `test/runtime/${runtime}/service.ts`;
      const program = startProgram(runtime, entry, { ...env, PORT: port, PUBLIC_URL: taken.url });
      expect(await program.exited).toBe(1);
      expect(program.printed()).toMatch(/EADDRINUSE|AddrInUse|in use/);
    },
  );
}
