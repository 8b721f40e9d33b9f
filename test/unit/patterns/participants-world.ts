import * as z from "zod/mini";
import type { AftercommitOptions } from "aftercommit";
import { directCalls, participant, participantRoutes } from "../../../src/patterns/index.ts";
import type { Branch } from "../../../src/patterns/index.ts";
import { orderPaid, PUBLIC_URL } from "../../support/world.ts";
import type { ServiceUnderTest, World } from "../../support/world.ts";

export const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;

/** Two participants, so that one can take the other's place. */
export const stock = participant("stock.reserve", {
  schema: z.object({ sku: z.string() }),
  result: z.object({ shelf: z.string() }),
});
export const backorder = participant("backorder.place", { schema: z.object({ sku: z.string() }) });

/** What happens to a call: passed on, or something else. */
export type Line = (pass: () => Promise<Response>, url: string, init: RequestInit) => Promise<Response>;

/** Participants on a service of their own, and what they have done. */
export interface Participants {
  /** What a caller is configured with. */
  readonly options: Partial<AftercommitOptions>;
  /** The service that has them. */
  readonly service: ServiceUnderTest;
  /** Every effect, in order: `"stock.reserve try"`. */
  readonly effects: string[];
  /** The branches that were tried, by participant. */
  readonly tried: Map<string, string>;
  /** The URLs that were called. */
  readonly calls: string[];
  /** What happens to calls from now on. */
  line: Line;
  /** Called by each handler before its effect. */
  hook: (what: string, branch: Branch<unknown>) => unknown;
  /** Delivers what the transport took, and what that leads to. */
  deliver(): Promise<void>;
}

/** Makes them; their branches are kept in the world's store. */
export function participantsOf(w: World): Participants {
  const effects: string[] = [];
  const tried = new Map<string, string>();
  const calls: string[] = [];
  const made = {
    line: ((pass) => pass()) as Line,
    hook: (() => undefined) as Participants["hook"],
  };
  const fetch = (url: string, init: RequestInit): Promise<Response> => {
    calls.push(url);
    return made.line(async () => service.app.request(url, init), url, init);
  };
  const options: Partial<AftercommitOptions> = {
    calls: directCalls({ secrets: [SECRET], fetch }),
    routes: {
      [stock.name]: "/participants/stock",
      [backorder.name]: `${PUBLIC_URL}/participants/backorder`,
      [orderPaid.name]: "https://elsewhere.example.net/paid",
    },
  };
  // Not the caller's database: a store of their own, whatever becomes of the caller.
  const service = w.service({ ...options, databases: undefined });
  for (const contract of [stock, backorder]) {
    const does = (kind: string) => async (branch: Branch<unknown>) => {
      await made.hook(`${contract.name} ${kind}`, branch);
      effects.push(`${contract.name} ${kind}`);
      if (kind === "try") tried.set(contract.name, branch.id);
      return { shelf: "b-4" };
    };
    const handlers = { try: does("try"), confirm: does("confirm"), cancel: does("cancel") };
    const path = new URL((options.routes![contract.name] as string) ?? "", PUBLIC_URL).pathname;
    service.app.route(path, participantRoutes(service.ac, contract, handlers as never));
  }
  return {
    options,
    service,
    effects,
    tried,
    calls,
    get line() {
      return made.line;
    },
    set line(line) {
      made.line = line;
    },
    get hook() {
      return made.hook;
    },
    set hook(hook) {
      made.hook = hook;
    },
    async deliver() {
      await w.deliver(service.app);
    },
  };
}
