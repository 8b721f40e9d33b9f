import type { AftercommitOptions, ConsumerHandler, ConsumerOptions } from "aftercommit";
import { memoryDatabase } from "aftercommit/memory";
import type { MemoryDatabase, MemorySql, MemoryStatement } from "aftercommit/memory";
import { faulty, orderPaid, PUBLIC_URL, world } from "./world.ts";
import type { App, ServiceUnderTest, World } from "./world.ts";

/** Where a consumer remembers what it has consumed, besides the rows of its effects. */
export type InboxKind = "a store" | "the database";
export const INBOXES: readonly InboxKind[] = ["a store", "the database"];

/** Where the consumer is reached, which is its name. */
export const RECEIPT = `${PUBLIC_URL}/consumers/receipt`;

export type Order = { orderId: string };

/** What a consumer answered. */
export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    readonly status?: string;
    readonly duplicate?: boolean;
    readonly outcome?: unknown;
    readonly error?: { readonly code?: string; readonly reason?: string };
  };
}

/** A service with a database, on a clock that a test moves. */
export interface ConsumingWorld extends World {
  readonly main: MemoryDatabase;
  /** A service with this inbox; with the database as its inbox it has no log at all. */
  consuming(inbox: InboxKind, overrides?: Partial<AftercommitOptions>): ServiceUnderTest;
  /** The same with a consumer of paid orders. */
  receipts(
    inbox: InboxKind,
    handler: ConsumerHandler<Order>,
    options?: ConsumerOptions,
    overrides?: Partial<AftercommitOptions>,
  ): ServiceUnderTest;
  /** Delivers the one message once more, and waits for what goes on after the answer. */
  arrive(service: ServiceUnderTest, options?: { readonly attempt?: number }): Promise<Answered>;
  /** The same, without the waiting. */
  post1(app: App, attempt?: number): Promise<Answered>;
  /** Lets every lease that is held now lapse, as nothing renews it. */
  lapse(): Promise<void>;
  /** How often the effect of a message has happened. */
  effects(name?: string): number;
  /** The topics of everything that was ever sent, in order. */
  sent(): readonly string[];
}

/** Makes one. */
export function consumingWorld(): ConsumingWorld {
  const w = world();
  const main = memoryDatabase({ clock: w.clock });
  const sentAt = new Date(w.clock.now()).toISOString();
  let renews = true;
  const log = faulty(w.store, (name) => (name === "inbox.renew" && !renews ? "unreachable" : "none"));
  const renew: MemoryDatabase["inbox"]["renew"] = async (...renewal) => {
    if (renews) return main.inbox.renew(...renewal);
    throw new Error("the database does not answer");
  };
  const watched = { ...main, inbox: { ...main.inbox, renew } };

  const consuming: ConsumingWorld["consuming"] = (inbox, overrides = {}) =>
    w.service({
      databases: { main: watched },
      ...(inbox === "a store" ? { log } : { inbox: "main", log: undefined, receiver: w.receiver }),
      ...overrides,
    });

  const post1: ConsumingWorld["post1"] = async (app, attempt = 1) => {
    const response = await w.post(app, RECEIPT, messageBody(sentAt), { attempt });
    return { status: response.status, headers: response.headers, body: (await response.json()) as Answered["body"] };
  };

  return {
    ...w,
    main,
    consuming,
    receipts(inbox, handler, options = {}, overrides = {}) {
      const made = consuming(inbox, overrides);
      const own = inbox === "a store" && options.database === undefined ? { database: "main" } : {};
      made.app.post("/consumers/receipt", made.ac.consumer(orderPaid, handler, { ...own, ...options }));
      return made;
    },
    async arrive({ ac, app }, { attempt = 1 } = {}) {
      const answered = await post1(app, attempt);
      await ac.drain();
      return answered;
    },
    post1,
    async lapse() {
      renews = false;
      await w.clock.advance(31_000);
      renews = true;
    },
    effects: (name = "receipt") => (main.table().get(`effect/${name}`) as number | undefined) ?? 0,
    sent: () => w.transport.accepted.map(({ record }) => record.topic),
  };
}

/** Counts one effect more. */
export async function act(sql: MemorySql, name = "receipt"): Promise<void> {
  const key = `effect/${name}`;
  await sql.put(key, (((await sql.get(key)) as number | undefined) ?? 0) + 1);
}

/** The same as a statement of a batch. */
export const acting: MemoryStatement = (sql) => act(sql);

/** The body of the one message, as it is delivered. */
function messageBody(at: string): string {
  return JSON.stringify({
    specversion: "1.0",
    id: "message-1",
    source: "https://elsewhere.example.com/",
    type: orderPaid.name,
    time: at,
    decidedat: at,
    datacontenttype: "application/json",
    transactionid: "0197-tx",
    messageindex: 0,
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    data: { orderId: "o-1" },
  });
}

/** Empties the store, log and inbox and all. */
export function flushAll(w: World): void {
  w.store.restore({ due: [], decisions: [], held: [], dead: [], left: [], inbox: [] });
}

export type { MemorySql };
