import { expect, onTestFinished, test, vi } from "vitest";
import { findFreePort } from "../free-port.ts";
import { startGatedQStash } from "./gated-qstash.ts";
import { startProgram } from "./program.ts";
import type { Program, Runtime } from "./program.ts";

/** An example that takes orders. */
export interface Example {
  readonly runtime: Runtime;
  readonly entry: string;
  /** Makes what it needs besides QStash and Upstash Redis; resolves to where that is. */
  prepare(): Promise<Readonly<Record<string, string>>>;
}

const TIMEOUT_MILLIS = 60_000;

interface Order {
  readonly item: string;
  readonly cents: number;
  readonly receipts: number;
}

/** What holds for each of the examples, in a process of its own and over HTTP alone. */
export function exampleSuite({ runtime, entry, prepare }: Example): void {
  async function start() {
    const qstash = await startGatedQStash();
    const port = await findFreePort();
    const url = `http://127.0.0.1:${port}`;
    const prepared = await prepare();
    const run = async (): Promise<Program> => {
      const program = startProgram(runtime, entry, {
        ...qstash.env,
        ...prepared,
        PORT: String(port),
        PUBLIC_URL: url,
        DEV: "true",
        RECOVERY_DEADLINE: "2s",
        LONGEST_REQUEST: "1s",
        SWEEP_EVERY: "200ms",
      });
      await program.prints(`listening on ${port}`);
      return program;
    };
    const place = async (body: object): Promise<Response> =>
      fetch(`${url}/orders`, {
        method: "POST",
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      });
    const look = async (orderId: string): Promise<Order> =>
      (await (await fetch(`${url}/orders/${orderId}`)).json()) as Order;
    const hasReceipt = (orderId: string) =>
      vi.waitFor(async () => expect(await look(orderId)).toMatchObject({ receipts: 1 }), {
        timeout: 30_000,
        interval: 50,
      });
    return { ...qstash, url, program: await run(), run, place, look, hasReceipt };
  }

  test("an order is placed, and its receipt goes out once", { timeout: TIMEOUT_MILLIS }, async () => {
    const { dev, url, program, place, look, hasReceipt } = await start();
    const response = await place({ item: "tea", cents: 420 });
    expect(response.status).toBe(201);
    const { orderId } = (await response.json()) as { orderId: string };
    await hasReceipt(orderId);
    await vi.waitFor(() => expect(dev.qstash.engine.stats()).toMatchObject({ delivered: 1 }), { timeout: 10_000 });
    expect(await look(orderId)).toMatchObject({ item: "tea", cents: 420, receipts: 1 });
    expect(dev.qstash.engine.stats()).toMatchObject({ published: 1, attempts: 1, delivered: 1, failed: 0 });

    expect((await place({ item: "" })).status).toBe(400);
    expect((await fetch(`${url}/orders/none`)).status).toBe(404);
    expect((await fetch(`${url}/consumers/receipt`, { method: "POST", body: "{}" })).status).toBe(401);
    expect(dev.qstash.engine.stats().published).toBe(1);
    program.signal("SIGTERM");
    expect(await program.exited, program.printed()).toBe(0);
  });

  test(
    "killed between its commit and its publication, an order is sent by the next start's sweep",
    { timeout: TIMEOUT_MILLIS },
    async () => {
      const { dev, program, run, place, look, hasReceipt, hold, drop } = await start();
      const held = hold();
      const response = await place({ item: "coffee", cents: 350 });
      const { orderId } = (await response.json()) as { orderId: string };
      await held;
      program.signal("SIGKILL");
      await program.exited;
      drop();
      expect(dev.qstash.engine.stats().published).toBe(0);

      const next = await run();
      expect(await look(orderId)).toMatchObject({ receipts: 0 });
      await hasReceipt(orderId);
      await vi.waitFor(() => expect(dev.qstash.engine.stats()).toMatchObject({ delivered: 1 }), { timeout: 10_000 });
      expect(dev.qstash.engine.stats()).toMatchObject({ published: 1, delivered: 1 });
      next.signal("SIGTERM");
      expect(await next.exited, next.printed()).toBe(0);
      expect(next.printed()).not.toContain("left.");
    },
  );
}

/** Ends what a test has started, with the test. */
export function endsWithTest<T>(started: T, end: (started: T) => Promise<unknown>): T {
  onTestFinished(async () => void (await end(started)));
  return started;
}
