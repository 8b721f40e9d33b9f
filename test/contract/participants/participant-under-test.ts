import { Hono } from "hono";
import * as z from "zod/mini";
import { aftercommit } from "aftercommit";
import type { AftercommitOptions, Clock, Event, Inbox } from "aftercommit";
import { memoryReceiver } from "aftercommit/memory";
import { directCalls, participant, participantRoutes, RefusedError } from "../../../src/patterns/index.ts";
import { parseWebhookSecret, signWebhook } from "../../../src/patterns/webhook-signature.ts";
import type { AnyDatabase } from "../../../src/ports/database.ts";
import { webCrypto } from "../../../src/system/crypto.ts";
import { systemClock } from "../../../src/system/clock.ts";

export const STOCK_URL = "https://stock.example.com";
const BASE = `${STOCK_URL}/participants/stock`;
export const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;

export const reserveStock = participant("stock.reserve", { schema: z.object({ sku: z.string() }) });

/** What a handler does of its own, and what stands in its way: called before the effect and after it. */
export type Hook = (kind: Kind, branch: string, when: "before" | "after") => unknown;
export type Kind = "try" | "confirm" | "cancel";

/** Where the effects of a participant are. */
export interface Place {
  /** Its database, where it has one. */
  readonly database?: AnyDatabase;
  /** Its inbox, where it has no database. */
  readonly inbox?: Inbox;
  readonly clock?: Clock;
  /** Makes an effect in an open transaction. */
  insert?(sql: unknown, text: string): Promise<void>;
  /** The same as a statement of a batch. */
  insertStatement?(text: string): unknown;
  /** The effects that are in the database. */
  texts?(): Promise<readonly string[]>;
  /** How often what runs at once is tried. @default 20 */
  readonly rounds?: number;
  dispose?(): Promise<void>;
}

/** A participant as its callers and the transport meet it. */
export interface ParticipantUnderTest {
  readonly place: Place;
  readonly events: Event[];
  /** Called by each handler. */
  hook: Hook;
  /** Calls the try of a branch; the status and the answer. */
  try(branch: string): Promise<Answered>;
  /** Delivers the message that confirms or cancels a branch. */
  deliver(kind: "confirm" | "cancel", branch: string): Promise<Answered>;
  act(kind: Kind, branch: string): Promise<Answered>;
  /** The kinds of effects of a branch; without a database in their order. */
  effects(branch: string): Promise<readonly Kind[]>;
}

export interface Answered {
  readonly status: number;
  readonly body: {
    readonly duplicate?: boolean;
    readonly result?: unknown;
    readonly error?: { readonly reason?: string };
  };
}

/** A branch's id that no other test has. */
export function newBranch(): string {
  return `${crypto.randomUUID()}_0`;
}

/** A service with a participant whose handlers each make one effect. Several may share a place, as processes do. */
export function participantAt(
  place: Place,
  shared: string[] = [],
  overrides: Partial<AftercommitOptions> = {},
): ParticipantUnderTest {
  const { database, clock = systemClock } = place;
  const receiver = memoryReceiver();
  const events: Event[] = [];
  const ac = aftercommit({
    publicUrl: STOCK_URL,
    receiver,
    calls: directCalls({ secrets: [SECRET] }),
    inbox: database === undefined ? place.inbox : "main",
    ...(database === undefined ? {} : { databases: { main: database } }),
    clock,
    observer: { event: (event) => events.push(event) },
    ...overrides,
  });
  const tested = { hook: (() => undefined) as Hook };
  const handler =
    (kind: Kind): Parameters<typeof participantRoutes>[2]["try"] =>
    async (branch) => {
      const text = `${branch.id} ${kind}`;
      await tested.hook(kind, branch.id, "before");
      if (place.insert !== undefined) {
        await branch.run("main", async (sql: unknown) => {
          await place.insert!(sql, text);
          await tested.hook(kind, branch.id, "after");
          return { did: kind };
        });
      } else if (place.insertStatement !== undefined) {
        await branch.batch("main", [place.insertStatement(text)]);
        await tested.hook(kind, branch.id, "after");
      } else {
        shared.push(text);
        await tested.hook(kind, branch.id, "after");
      }
      return { did: kind };
    };
  const app = new Hono();
  app.route(
    "/participants/stock",
    participantRoutes(ac, reserveStock, {
      try: handler("try"),
      confirm: handler("confirm"),
      cancel: handler("cancel"),
    }),
  );
  app.onError((_, c) => c.text("failed", 500));

  const answered = async (response: Response): Promise<Answered> => ({
    status: response.status,
    body: (await response.json()) as Answered["body"],
  });
  const facts = (branch: string) => ({
    transaction: branch.slice(0, branch.indexOf("_")),
    branch,
    at: clock.now(),
    data: { sku: "a" },
  });
  const made: ParticipantUnderTest = {
    place,
    events,
    get hook() {
      return tested.hook;
    },
    set hook(hook) {
      tested.hook = hook;
    },
    async try(branch) {
      const to = `${BASE}/try`;
      const body = JSON.stringify({
        v: 1,
        participant: "stock.reserve",
        to,
        source: "https://shop.example.com/",
        ...facts(branch),
      });
      const signature = await signWebhook(webCrypto, parseWebhookSecret(SECRET)!, {
        id: branch,
        at: clock.now(),
        body,
      });
      return answered(await app.request(to, { method: "POST", body, headers: signature }));
    },
    async deliver(kind, branch) {
      const url = `${BASE}/${kind}`;
      const now = new Date(clock.now()).toISOString();
      const body = JSON.stringify({
        specversion: "1.0",
        id: `${branch}-${kind}`,
        source: "https://shop.example.com/",
        type: `stock.reserve.${kind}`,
        time: now,
        decidedat: now,
        datacontenttype: "application/json",
        transactionid: facts(branch).transaction,
        messageindex: 0,
        data: facts(branch),
      });
      return answered(await app.request(url, { method: "POST", body, headers: await receiver.sign(url, body) }));
    },
    act: (kind, branch) => (kind === "try" ? made.try(branch) : made.deliver(kind, branch)),
    async effects(branch) {
      const texts = (await place.texts?.()) ?? shared;
      return texts.filter((text) => text.startsWith(`${branch} `)).map((text) => text.slice(branch.length + 1) as Kind);
    },
  };
  return made;
}

export { RefusedError };
