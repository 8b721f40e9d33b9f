import type { Crypto } from "aftercommit";
import { qstash } from "aftercommit/qstash";
import type { QStashReceiverOptions } from "aftercommit/qstash";
import type { Choices } from "./choices.ts";
import { accountKey, ACCOUNTS, OPENING } from "./effects.ts";
import { drawnFaults } from "./faults.ts";
import type { Faults } from "./faults.ts";
import { ledger } from "./ledger.ts";
import type { Mutant, Ports } from "./mutants.ts";
import { newOracle } from "./oracle.ts";
import type { Oracle } from "./oracle.ts";
import { drawnRequests } from "./plan.ts";
import type { Request } from "./plan.ts";
import { repeatableCrypto } from "./ports/crypto.ts";
import { qstashClientOf } from "./ports/qstash-client.ts";
import { schedule } from "./ports/qstash-delivery.ts";
import { qstashServer } from "./ports/qstash-server.ts";
import type { QStashServer } from "./ports/qstash-server.ts";
import type { SigningKeys } from "./ports/qstash-signer.ts";
import { redisOf } from "./ports/redis.ts";
import { redisServer } from "./ports/redis-server.ts";
import type { RedisServer } from "./ports/redis-server.ts";
import { sqlOf } from "./ports/sql.ts";
import { sqlServer } from "./ports/sql-server.ts";
import type { SqlServer } from "./ports/sql-server.ts";
import { kill, newProcess, skewedClock } from "./process.ts";
import type { Process } from "./process.ts";
import type { Scheduler } from "./scheduler.ts";
import { drawnSetup } from "./setup.ts";
import type { Level, Setup } from "./setup.ts";
import { shop } from "./shop.ts";
import type { Env, Service } from "./shop.ts";
import type { Role } from "./steps.ts";
import { LEDGER } from "./topics.ts";

/** A place at which a process of a service runs; after its death another one. */
export interface Slot {
  readonly service: Service;
  readonly role: Role;
  env: Env;
}

/** A process that can be called from outside. */
export interface Instance {
  readonly process: Process;
  /** Resolves when a process that stands still goes on. */
  wakes(): Promise<void>;
  request(url: string, init: RequestInit): Promise<Response>;
}

/** Everything there is in a run. */
export interface World {
  readonly setup: Setup;
  readonly faults: Faults;
  readonly scheduler: Scheduler;
  readonly oracle: Oracle;
  readonly redis: RedisServer;
  readonly main: SqlServer;
  readonly books: SqlServer;
  readonly qstash: QStashServer;
  readonly requests: readonly Request[];
  readonly slots: readonly Slot[];
  /** What a service that is started now is configured with. */
  deployedKeys: SigningKeys;
  /** A living process that serves a URL. */
  reach(url: string): Instance | undefined;
  /** Ends a process, and starts another one in its place a while later. */
  kill(process: Process): void;
  /** A process stands still for a while, and then goes on as if nothing had been. */
  pause(process: Process): void;
  /** Lets a process do nothing for a while. */
  sleep(process: Process, millis: number): Promise<void>;
  /** Starts a process of the shop that nobody reaches. */
  startApart(): Env;
}

/** What a world is made with. */
export interface WorldOptions {
  readonly level?: Level | undefined;
  readonly mutant?: Mutant | undefined;
}

/** After so long a process that died is there again. */
const RESTARTS = [1_000, 20_000, 100_000, 400_000] as const;
/** So long a process stands still. */
const PAUSES = [100_000, 20_000, 250_000] as const;
/** How far clocks are off. */
const SKEWS = [0, 3_000, -3_000, 20_000, -20_000, 400_000, -400_000] as const;
const SKEW_WEIGHTS = [60, 12, 12, 5, 5, 3, 3] as const;

/** Makes the world of a run, and starts its processes. */
export function newWorld(choices: Choices, scheduler: Scheduler, { level, mutant }: WorldOptions): World {
  const crypto: Crypto = repeatableCrypto(choices.below(1_000_000));
  const setup = drawnSetup(choices, level);
  const faults = drawnFaults(choices);
  const skew = (): number => (faults.ended ? 0 : SKEWS[choices.weighted(SKEW_WEIGHTS)]!);
  const services = { shop: shop(setup.withLog), ledger: ledger() };
  let started = 0;

  const world: World = {
    setup,
    faults,
    scheduler,
    oracle: newOracle(() => world),
    redis: redisServer(scheduler),
    main: sqlServer(scheduler),
    books: sqlServer(scheduler),
    qstash: qstashServer({
      windowMillis: setup.windowMillis,
      now: () => scheduler.now,
      taken(message) {
        world.oracle.taken(message);
        schedule(world, message);
      },
    }),
    requests: drawnRequests(choices, setup, level),
    slots: [],
    deployedKeys: undefined as never,
    reach(url) {
      const role = url.startsWith(LEDGER) ? "ledger" : "shop";
      const alive = world.slots.filter((slot) => slot.role === role && slot.env.process.alive);
      const slot = alive.length > 1 ? alive[faults.below(alive.length)] : alive[0];
      return (
        slot && {
          process: slot.env.process,
          wakes: () => skewedClock(scheduler, slot.env.process, slot.env.process).sleep(0),
          request: async (to, init) => slot.service.app.request(to, init, slot.env, slot.env),
        }
      );
    },
    kill(process) {
      if (!process.alive) return;
      scheduler.note("dies");
      kill(process, faults.percent(30));
      const slot = world.slots.find(({ env }) => env.process === process);
      if (slot === undefined) return;
      const after = RESTARTS[faults.below(RESTARTS.length)]!;
      scheduler.after(after, "restarts", () => {
        slot.env = start(slot.role);
      });
    },
    pause(process) {
      process.pausedUntil = scheduler.now + PAUSES[faults.below(PAUSES.length)]!;
    },
    sleep: (process, millis) =>
      millis === 0 ? Promise.resolve() : skewedClock(scheduler, process, process).sleep(millis),
    startApart: () => start("shop"),
  };
  world.deployedKeys = world.qstash.keys;
  for (const server of [world.redis, world.main, world.books]) server.skewMillis = skew();
  world.main.database.restore(
    Array.from({ length: ACCOUNTS }, (_, number) => [`table/${accountKey(number)}`, OPENING] as const),
  );

  function start(role: Role): Env {
    const process = newProcess(++started, role, skew());
    const keys = { currentSigningKey: world.deployedKeys.current, nextSigningKey: world.deployedKeys.next };
    let made: Pick<Env, "database" | "ports"> | undefined;
    // Many a process is never called.
    const make = () => {
      const database = sqlOf(world, process, role === "ledger" ? world.books : world.main);
      return (made ??= { database, ports: portsOf(role, process, database, keys) });
    };
    return {
      world,
      process,
      get database() {
        return make().database;
      },
      get ports() {
        return make().ports;
      },
      waitUntil: () => undefined,
      passThroughOnException: () => undefined,
      props: {},
    };
  }

  function portsOf(role: Role, process: Process, database: Env["database"], keys: QStashReceiverOptions): Ports {
    const clock = skewedClock(scheduler, process, process);
    const transport = qstash({ client: qstashClientOf(world, process), ...keys, clock, crypto });
    const common = { clock, crypto, receiver: transport.receiver! };
    const ports: Ports =
      role === "ledger"
        ? { ...common, databases: { books: database } }
        : {
            ...common,
            transport,
            databases: { main: database },
            checks: { order: (id) => world.oracle.check(process, id) },
            ...(setup.withLog ? { log: redisOf(world, process) } : {}),
            ...(setup.inbox === "main" ? { inbox: "main" } : {}),
          };
    return mutant === undefined ? ports : mutant.apply(ports);
  }

  const place = (role: Role, count: number): Slot[] =>
    Array.from({ length: count }, () => ({
      role,
      service: role === "ledger" ? services.ledger : services.shop,
      env: start(role),
    }));
  (world.slots as Slot[]).push(
    ...place("shop", setup.shops),
    ...place("sweeper", setup.sweepers),
    ...place("ledger", setup.ledgers),
  );
  return world;
}
