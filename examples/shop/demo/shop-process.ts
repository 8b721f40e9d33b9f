import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Event, LogCounts, LogReader } from "aftercommit";
import { freePort } from "./free-port.ts";
import type { Infrastructure } from "./infrastructure.ts";
import type { Child, Processes } from "./processes.ts";

/** An event as the shop prints it. */
export type PrintedEvent = Event & { readonly aftercommit: Event["type"] };
/** A page of dead letters, as the operator's route answers it. */
export type DeadPage = Awaited<ReturnType<LogReader["listDead"]>>;

/** The shop, a process that is killed and started again at the same address, with the same database. */
export interface ShopProcess {
  readonly url: string;
  /** What every start of it has printed so far. */
  readonly events: readonly PrintedEvent[];
  /** The names of the starts that were killed. */
  readonly killedBoots: ReadonlySet<string>;
  /** Resolves when it answers: at once, unless it is being killed and started again. */
  up(): Promise<void>;
  /** Resolves as soon as it says that something of that kind happened. */
  next(type: Event["type"]): Promise<void>;
  /** Kills it in the middle of whatever it does, and starts it again. */
  kill(): Promise<void>;
  /** Lets it finish what it does. */
  stop(): Promise<void>;
  /** Reads one of the operator's routes. */
  counts(): Promise<LogCounts>;
  dead(cursor?: string): Promise<DeadPage>;
}

const SHOP = fileURLToPath(new URL("../node.ts", import.meta.url));
/** How often a consumer's attempts fail. */
export const FAILURE_RATE = 0.15;

/** Starts the shop; resolves when it answers. */
export async function startShop(
  processes: Processes,
  { qstash, redis }: Infrastructure,
  database: string,
): Promise<ShopProcess> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const operatorToken = randomBytes(32).toString("hex");
  const events: PrintedEvent[] = [];
  const killedBoots = new Set<string>();
  let waiting: { readonly type: Event["type"]; readonly resolve: () => void }[] = [];
  let boots = 0;
  let child: Child;
  let answering: Promise<void>;

  const hear = (event: PrintedEvent): void => {
    events.push(event);
    for (const { type, resolve } of waiting) if (type === event.type) resolve();
    waiting = waiting.filter(({ type }) => type !== event.type);
  };

  const start = async (): Promise<void> => {
    boots++;
    child = processes.start("shop", {
      args: [SHOP],
      env: {
        PORT: String(port),
        PUBLIC_URL: url,
        SHOP_DATABASE: database,
        SHOP_DEMO: "true",
        SHOP_BOOT: String(boots),
        SHOP_FAILURE_RATE: String(FAILURE_RATE),
        SHOP_OPERATOR_TOKEN: operatorToken,
        QSTASH_URL: qstash.url,
        QSTASH_TOKEN: qstash.token,
        QSTASH_CURRENT_SIGNING_KEY: qstash.currentSigningKey,
        QSTASH_NEXT_SIGNING_KEY: qstash.nextSigningKey,
        UPSTASH_REDIS_REST_URL: redis.url,
        UPSTASH_REDIS_REST_TOKEN: redis.token,
      },
      onLine: (line) => {
        const event = eventOf(line);
        if (event !== undefined) hear(event);
      },
    });
    while (!(await answers(url))) await sleep(20);
  };

  const read = async (path: string): Promise<unknown> => {
    const response = await fetch(`${url}/_aftercommit${path}`, {
      headers: { authorization: `Bearer ${operatorToken}` },
    });
    if (!response.ok) throw new Error(`Expected 200 of the operator's ${path}, found ${response.status}.`);
    return response.json();
  };

  await (answering = start());
  return {
    url,
    events,
    killedBoots,
    up: () => answering,
    next: (type) => new Promise((resolve) => waiting.push({ type, resolve })),
    kill() {
      killedBoots.add(String(boots));
      return (answering = child.end("SIGKILL").then(start));
    },
    stop: () => child.end("SIGTERM"),
    counts: () => read("/counts") as Promise<LogCounts>,
    dead: (cursor) => read(cursor === undefined ? "/dead" : `/dead?cursor=${cursor}`) as Promise<DeadPage>,
  };
}

/** The event that a line tells of, if it does; a kill may have cut it off. */
function eventOf(line: string): PrintedEvent | undefined {
  if (!line.startsWith(`{"aftercommit":`)) return undefined;
  try {
    return JSON.parse(line) as PrintedEvent;
  } catch {
    return undefined;
  }
}

/** Any answer will do; the connection is refused until the shop listens. */
async function answers(url: string): Promise<boolean> {
  try {
    await (await fetch(url)).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
