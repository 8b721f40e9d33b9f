import type { Context } from "hono";
import type { Aftercommit, AftercommitOptions, Transaction } from "aftercommit";
import { idempotencyKey } from "aftercommit/idempotency";
import type { IdempotencyOptions } from "aftercommit/idempotency";
import { memoryWorld, sqliteWorld } from "../../support/barrier-world.ts";
import type { BarrierWorld } from "../../support/barrier-world.ts";
import { orderPaid, world } from "../../support/world.ts";
import type { App, RouteHandler, World } from "../../support/world.ts";

/** A key as a caller sends it. */
export const KEY = '"8e03978e-40d5-43dd-bc93-6894a57f9324"';

/** A level, and a store or database that it is kept in. */
export interface Place {
  readonly w: World;
  /** What the middleware has to be told of the level. */
  readonly level: { readonly database?: "main"; readonly check?: "order" };
  /** What a service of this place is configured with, besides. */
  readonly overrides: Partial<AftercommitOptions>;
  /** Does the business work: an order, which can be there once. */
  work(tx: Transaction, key: string): Promise<unknown>;
  /** The orders that are there. */
  orders(): readonly string[];
  /** Lets time pass, on the database's own clock too. */
  age(millis: number): Promise<void>;
}

function ofLog(level: Place["level"]): Place {
  const w = world();
  const orders: { readonly id: string; readonly tx: string }[] = [];
  return {
    w,
    level,
    overrides: {
      checks: { order: (tx) => (orders.some((order) => order.tx === tx) ? "committed" : "rolledBack") },
    },
    async work(tx, id) {
      orders.push({ id, tx: tx.id });
    },
    orders: () => orders.map(({ id }) => id),
    age: (millis) => w.clock.advance(millis),
  };
}

function ofDatabase(w: BarrierWorld, overrides: Partial<AftercommitOptions> = {}): Place {
  return {
    w,
    level: { database: "main" },
    overrides,
    work: (tx, id) => w.work(tx, [id]),
    orders: () => w.keys(),
    age: (millis) => w.age(millis),
  };
}

/** Every kind of place, for what all of them must do. */
export const PLACES: readonly (readonly [name: string, make: () => Place])[] = [
  ["marked, in a memory store", () => ofLog({})],
  ["checked, in a memory store", () => ofLog({ check: "order" })],
  ["barrier, in a memory database", () => ofDatabase(memoryWorld("run"))],
  ["barrier, in a memory database with batches", () => ofDatabase(memoryWorld("batch"))],
  ["barrier, in node:sqlite", () => ofDatabase(sqliteWorld())],
  ["barrier, without a log", () => ofDatabase(memoryWorld("run"), { log: undefined })],
];

/** Those that a database decides. */
export const DATABASES: typeof PLACES = PLACES.filter(([name]) => name.startsWith("barrier"));

/** A service with a route `POST /orders/:kind` under keys. */
export interface KeyedShop {
  readonly ac: Aftercommit;
  readonly app: App;
  /** How often the handler has run. */
  runs(): number;
  /** The ids of the handler's transactions, in order. */
  readonly ids: string[];
  /** Makes a request, and waits for what goes on after its response. */
  order(init?: OrderInit): Promise<Response>;
  /** Makes a request. */
  request(init?: OrderInit): Promise<Response>;
}

export interface OrderInit {
  /** @default KEY */
  readonly key?: string | undefined;
  readonly body?: string | FormData;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
}

/** What a shop does differently. */
export interface ShopOptions extends Partial<IdempotencyOptions> {
  readonly handler?: RouteHandler;
  /** Mounted before the key's middleware. */
  readonly before?: (ac: Aftercommit, app: App) => void;
  readonly overrides?: Partial<AftercommitOptions>;
}

/** The handler of a shop: publishes, writes the order, and answers with its id. */
export function ordering({ work, level }: Place): RouteHandler {
  return async (c) => {
    const { id } = await c.req.json<{ id: string }>();
    await c.var.tx.publish(orderPaid, { orderId: id });
    await work(c.var.tx, level.database === undefined ? `${id} ${c.var.tx.id}` : id);
    return c.json({ id, tx: c.var.tx.id }, 201, { "x-order": id });
  };
}

/** The caller of a test. */
export const scope = (c: Context): string => c.req.header("x-user") ?? "anna";

/** Opens a shop at a place; one more is another process of the same service. */
export function openShop(place: Place, options: ShopOptions = {}): KeyedShop {
  const { handler = ordering(place), before, overrides, ...keyed } = options;
  const { ac, app } = place.w.service({ ...place.overrides, ...overrides });
  const ids: string[] = [];
  app.onError((error) => ("getResponse" in error ? (error as { getResponse(): Response }).getResponse() : failed()));
  before?.(ac, app);
  app.on(
    ["POST", "PUT", "GET"],
    "/orders/:kind",
    idempotencyKey(ac, { scope, required: true, ...place.level, ...keyed }),
    async (c, next) => {
      ids.push(c.var.tx.id);
      return handler(c, next) as Promise<Response>;
    },
  );
  const request: KeyedShop["request"] = async (init = {}) => {
    const { path = "/orders/paper", body = JSON.stringify({ id: "order-1" }), headers, method = "POST" } = init;
    const key: Record<string, string> =
      "key" in init ? (init.key === undefined ? {} : { "idempotency-key": init.key }) : { "idempotency-key": KEY };
    const type = typeof body === "string" ? { "content-type": "application/json" } : {};
    return app.request(path, {
      method,
      headers: { ...type, ...key, ...headers },
      ...(method === "GET" ? {} : { body }),
    });
  };
  return {
    ac,
    app,
    ids,
    runs: () => ids.length,
    request,
    async order(init) {
      const response = await request(init);
      await ac.drain();
      return response;
    },
  };
}

function failed(): Response {
  return new Response("failed", { status: 500 });
}

/** The body of a problem. */
export async function problemOf(response: Response): Promise<Record<string, unknown>> {
  return (await response.json()) as Record<string, unknown>;
}
