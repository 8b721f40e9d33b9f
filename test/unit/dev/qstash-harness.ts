import { createServer, type IncomingHttpHeaders } from "node:http";
import { Client, Receiver } from "@upstash/qstash";
import { listenOnLoopback } from "../../../adapters/dev/loopback-server.ts";
import {
  createQStash,
  type MessageState,
  type QStash,
  type QStashEvent,
  type QStashOptions,
} from "../../../adapters/dev/qstash/index.ts";
import { onTestFinished, vi } from "vitest";

/** A request that reached the destination. */
export interface Received {
  readonly method: string;
  readonly path: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** On the clock that the destination was given. */
  readonly time: number;
}

export interface Reply {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

export interface Destination {
  readonly url: string;
  readonly received: Received[];
}

/** An HTTP server that records what it is sent; `reply` decides the answer, 200 by default. */
export async function startDestination(
  reply: (request: Received, index: number) => Reply | Promise<Reply> = () => ({}),
  now: () => number = Date.now,
): Promise<Destination> {
  const received: Received[] = [];
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    const answer = async (): Promise<void> => {
      const path = incoming.url ?? "";
      const request: Received = {
        method: incoming.method ?? "",
        path,
        url: `${url}${path}`,
        headers: incoming.headers,
        body: Buffer.concat(chunks).toString(),
        time: now(),
      };
      received.push(request);
      const { status = 200, headers = {}, body = "" } = await reply(request, received.length - 1);
      outgoing.writeHead(status, headers);
      outgoing.end(body);
    };
    incoming.on("end", () => void answer());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the destination does not listen on a port");
  const url = `http://127.0.0.1:${address.port}`;
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url, received };
}

/** A clock that stands still until it is advanced. */
export interface SimulatedClock {
  readonly now: () => number;
  readonly setTimer: (run: () => void, millis: number) => () => void;
  /** Runs what is due up to `millis` from now, in order, letting deliveries end in between. */
  advance(millis: number, settled?: () => Promise<void>): Promise<void>;
}

export function createSimulatedClock(start: number = Date.now()): SimulatedClock {
  let now = start;
  const timers = new Set<{ readonly at: number; readonly run: () => void }>();
  return {
    now: () => now,
    setTimer(run, millis) {
      const timer = { at: now + millis, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    async advance(millis, settled = () => Promise.resolve()) {
      const end = now + millis;
      for (;;) {
        await settled();
        const next = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        timers.delete(next);
        now = Math.max(now, next.at);
        next.run();
      }
      now = end;
    },
  };
}

export interface Harness {
  readonly qstash: QStash;
  readonly client: Client;
  readonly receiver: Receiver;
  readonly url: string;
  readonly clock: SimulatedClock;
  readonly events: QStashEvent[];
  /** The states that a message went through so far. */
  states(messageId: string): MessageState[];
  /** Resolves with the first event that matches, past or future. */
  event(match: (event: QStashEvent) => boolean): Promise<QStashEvent>;
  advance(millis: number): Promise<void>;
}

/** A QStash behind HTTP on a simulated clock, and the unmodified SDK that drives it. */
export async function startQStash(options: QStashOptions = {}): Promise<Harness> {
  // The SDK reports every status that is not 2xx on the console.
  vi.spyOn(console, "error").mockImplementation(() => {});
  const clock = createSimulatedClock();
  const events: QStashEvent[] = [];
  let waiters: { match: (event: QStashEvent) => boolean; resolve: (event: QStashEvent) => void }[] = [];
  const qstash = createQStash({
    now: clock.now,
    setTimer: clock.setTimer,
    ...options,
    onEvent(event) {
      options.onEvent?.(event);
      events.push(event);
      for (const { match, resolve } of waiters) if (match(event)) resolve(event);
      waiters = waiters.filter(({ match }) => !match(event));
    },
  });
  const server = await listenOnLoopback(qstash.fetch);
  onTestFinished(async () => {
    await Promise.all([qstash.stop(), server.close()]);
    vi.restoreAllMocks();
  });
  const { current, next } = qstash.signingKeys();
  return {
    qstash,
    client: new Client({ baseUrl: server.url, token: qstash.token, enableTelemetry: false }),
    receiver: new Receiver({ currentSigningKey: current, nextSigningKey: next }),
    url: server.url,
    clock,
    events,
    states: (messageId) => events.filter((event) => event.messageId === messageId).map(({ state }) => state),
    event: (match) => {
      const past = events.find(match);
      return past === undefined ? new Promise((resolve) => waiters.push({ match, resolve })) : Promise.resolve(past);
    },
    advance: (millis) => clock.advance(millis, qstash.idle),
  };
}

/** The `reply` of a destination that fails `times` times and then succeeds. */
export function failing(times: number, reply: Reply = { status: 500 }): (request: Received, index: number) => Reply {
  return (_request, index) => (index < times ? reply : {});
}

/** A promise that is settled from outside. */
export function deferred<Value>(): { readonly promise: Promise<Value>; readonly resolve: (value: Value) => void } {
  let resolve: (value: Value) => void = () => {};
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
