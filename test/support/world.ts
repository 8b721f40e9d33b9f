import { createHash } from "node:crypto";
import { Hono } from "hono";
import type { Handler } from "hono";
import * as z from "zod/mini";
import { aftercommit, topic } from "aftercommit";
import type {
  Aftercommit,
  AftercommitEnv,
  AftercommitOptions,
  Crypto,
  Dispatch,
  Event,
  LogStore,
  WakeCall,
} from "aftercommit";
import { memoryReceiver, memoryStore, memoryTransport } from "aftercommit/memory";
import type { MemoryReceiver, MemoryStore, MemoryTransport, SignOptions } from "aftercommit/memory";
import { simulatedClock } from "../../src/testing/simulated-clock.ts";
import type { SimulatedClock } from "../../src/testing/simulated-clock.ts";
import { webCrypto } from "../../src/system/crypto.ts";

/** Where the app of a world is reached. */
export const PUBLIC_URL = "https://shop.example.com";
/** A consumer of somebody else. */
export const ELSEWHERE = "https://stock.example.net/consumers/stock";
/** The operator's token. */
export const BEARER = "an operator's token of enough length";

export const orderPaid = topic("order.paid", z.object({ orderId: z.string() }));
export const seatFreed = topic("seat.freed", z.object({ seat: z.string() }));
/** Anything at all: for data that a schema would not let through. */
export const anything = topic("anything", z.unknown());

/** An app that uses `c.var.tx`. */
export type App = Hono<AftercommitEnv>;

/** A handler of such an app. */
export type RouteHandler = Handler<AftercommitEnv>;

/** A service under test, with an app that its routes can be mounted on; `/_aftercommit` is mounted. */
export interface ServiceUnderTest {
  readonly ac: Aftercommit;
  readonly app: App;
}

/** How the delivery of one message went. */
export interface Delivered {
  readonly dispatch: Dispatch;
  /** The status of each attempt. */
  readonly statuses: readonly number[];
  /** The body of the last answer. */
  readonly answer: string;
}

/** All that a service needs, in memory and on a clock that a test moves. */
export interface World {
  readonly clock: SimulatedClock;
  readonly store: MemoryStore;
  readonly transport: MemoryTransport;
  readonly receiver: MemoryReceiver;
  readonly crypto: Crypto;
  /** What the observer was told, in order. */
  readonly events: Event[];
  /** The events of one type. */
  of<Type extends Event["type"]>(type: Type): Extract<Event, { type: Type }>[];
  /** What a service of this world is configured with. */
  options(overrides?: Partial<AftercommitOptions>): AftercommitOptions;
  service(overrides?: Partial<AftercommitOptions>): ServiceUnderTest;
  /** Calls a URL of the app as the transport does: signed. */
  post(app: App, url: string, body: string, options?: SignOptions): Promise<Response>;
  /**
   * Delivers what the transport took, and what that leads to, as QStash does: each attempt signed, a retry after the wait
   * that was asked for, the failure route told when the retries are used up or the consumer answers 489.
   */
  deliver(app: App, options?: DeliverOptions): Promise<readonly Delivered[]>;
  /** Makes the wake-up calls that have become due, each once. */
  wakeUp(app: App): Promise<readonly Response[]>;
}

/** How deliveries go. */
export interface DeliverOptions {
  /** What a destination that is not the app's answers. @default 200 */
  readonly elsewhere?: number;
  /** How often an attempt is made again, where the message does not say. @default 3 */
  readonly retries?: number;
  /** Whether the failure route is called. @default true */
  readonly report?: boolean;
}

/** Makes a world. */
export function world(parts: { readonly nextSecret?: string; readonly shards?: number } = {}): World {
  const clock = simulatedClock();
  const store = memoryStore({ clock, shards: parts.shards ?? 1 });
  const crypto = countingCrypto();
  const receiver = memoryReceiver({
    crypto,
    ...(parts.nextSecret === undefined ? {} : { nextSecret: parts.nextSecret }),
  });
  const transport = memoryTransport({ receiver });
  const events: Event[] = [];
  const woken = new Set<WakeCall>();

  const options: World["options"] = (overrides = {}) => ({
    publicUrl: PUBLIC_URL,
    log: store,
    transport,
    routes: {
      [orderPaid.name]: "/consumers/receipt",
      [seatFreed.name]: "/consumers/seat",
      [anything.name]: "/consumers/anything",
    },
    operations: { bearer: BEARER },
    observer: { event: (event) => events.push(event) },
    clock,
    crypto,
    ...overrides,
  });

  const post: World["post"] = async (app, url, body, signOptions) => {
    const headers = await receiver.sign(url, body, signOptions);
    return app.request(url, { method: "POST", headers, body });
  };

  const attempt = async (app: App, dispatch: Dispatch, number: number, elsewhere: number): Promise<Response> => {
    const { record, body } = dispatch;
    if (!record.destination.startsWith(`${PUBLIC_URL}/`)) return new Response("", { status: elsewhere });
    return post(app, record.destination, body, { attempt: number, meta: record.meta });
  };

  const deliverOne = async (app: App, dispatch: Dispatch, how: DeliverOptions): Promise<Delivered> => {
    const retries = dispatch.record.send.retries ?? how.retries ?? 3;
    const statuses: number[] = [];
    for (;;) {
      const response = await attempt(app, dispatch, statuses.length + 1, how.elsewhere ?? 200);
      const answer = await response.text();
      statuses.push(response.status);
      if (response.ok) {
        transport.markDelivered(dispatch);
        return { dispatch, statuses, answer };
      }
      if (response.status === 489 || statuses.length > retries) {
        const letter = transport.markFailed(dispatch, { status: response.status, response: answer });
        if (dispatch.failureUrl !== undefined && how.report !== false) {
          await post(app, dispatch.failureUrl, receiver.failureBody(letter));
        }
        return { dispatch, statuses, answer };
      }
      await clock.advance(Number(response.headers.get("retry-after") ?? 12) * 1_000);
    }
  };

  return {
    clock,
    store,
    transport,
    receiver,
    crypto,
    events,
    of: (type) => events.filter((event): event is Extract<Event, { type: typeof type }> => event.type === type),
    options,
    service(overrides) {
      const ac = aftercommit(options(overrides));
      const app: App = new Hono<AftercommitEnv>();
      app.route("/_aftercommit", ac.operations());
      return { ac, app };
    },
    post,
    async deliver(app, how = {}) {
      const delivered: Delivered[] = [];
      for (let batch = transport.take(); batch.length > 0; batch = transport.take()) {
        for (const dispatch of batch) delivered.push(await deliverOne(app, dispatch, how));
      }
      return delivered;
    },
    async wakeUp(app) {
      const answers: Response[] = [];
      for (const call of transport.wakes.filter((wake) => !woken.has(wake))) {
        if (call.notBeforeSeconds * 1_000 > clock.now()) continue;
        woken.add(call);
        answers.push(await post(app, call.url, "{}"));
      }
      return answers;
    },
  };
}

/**
 * A count instead of chance, so that runs repeat; a draw of one byte is 1, so that no sweep audits by chance. Digests are
 * synchronous, so that {@link settled} is enough to wait for.
 */
function countingCrypto(): Crypto {
  let drawn = 0;
  return {
    ...webCrypto,
    digest: (bytes) => new Uint8Array(createHash("sha256").update(bytes).digest()),
    random(length) {
      const bytes = new Uint8Array(length).fill(1);
      if (length < 4) return bytes;
      drawn++;
      new DataView(bytes.buffer).setUint32(length - 4, drawn);
      return bytes;
    },
  };
}

/** What a store's method is called with, and the method itself. */
type Intercept = (call: () => Promise<unknown>, name: string) => Promise<unknown>;

/**
 * A store each of whose calls passes through `intercept`, by names such as `"transactions.prepare"`: to fail it, to hold
 * it back, or to lose its reply.
 */
export function intercepted(store: LogStore, intercept: Intercept): LogStore {
  const wrapAll = <Part extends object>(part: Part, prefix: string): Part => {
    const wrapped = Object.entries(part).map(([property, found]: [string, unknown]) => {
      const name = `${prefix}${property}`;
      if (typeof found === "object" && found !== null) return [property, wrapAll(found, `${name}.`)];
      if (typeof found !== "function" || name === "shardOf") return [property, found];
      const method = found as (...args: unknown[]) => Promise<unknown>;
      return [property, (...args: unknown[]) => intercept(() => method(...args), name)];
    });
    return Object.fromEntries(wrapped) as Part;
  };
  return wrapAll(store, "");
}

/** What a fault does to the calls of a store that it matches. */
export type StoreFault = "unreachable" | "replyLost" | "none";

/** A store that can be cut off: `fault(name)` says for each call what becomes of it. */
export function faulty(store: LogStore, fault: (name: string) => StoreFault): LogStore {
  return intercepted(store, async (call, name) => {
    const kind = fault(name);
    if (kind === "unreachable") throw new Error("the store is out of reach");
    const result = await call();
    if (kind === "replyLost") throw new Error("the reply was lost");
    return result;
  });
}

/** A promise that is resolved from outside. */
export interface Gate {
  readonly passed: Promise<void>;
  open(): void;
}

export function gate(): Gate {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}

/** Lets everything that only waits for promises go on: a few turns of the event loop, as streams of bodies take one each. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
}
