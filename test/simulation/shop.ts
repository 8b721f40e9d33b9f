import { aftercommit } from "aftercommit";
import type { Aftercommit, AftercommitEnv } from "aftercommit";
import { Hono } from "hono";
import type { ExecutionContext } from "hono";
import { LinearRouter } from "hono/router/linear-router";
import { mountConsumers } from "./shop-consumers.ts";
import { mountProducers } from "./shop-producers.ts";
import { ROUTES, SHOP } from "./topics.ts";
import type { Ports } from "./mutants.ts";
import type { SimulatedDatabase } from "./ports/sql.ts";
import type { Process } from "./process.ts";
import type { World } from "./world.ts";

/** What a process of a service has: Hono's bindings and context, and what the service is configured by. */
export interface Env extends ExecutionContext {
  readonly world: World;
  readonly process: Process;
  readonly ports: Ports;
  /** The service's own database, as this process reaches it. */
  readonly database: SimulatedDatabase;
}

/** An app of the simulation. */
export type App = Hono<AftercommitEnv<Env>>;

/** A service: its routes, and what its cron and its operators call. */
export interface Service {
  readonly app: App;
  readonly ac: Aftercommit<Env>;
}

const HOUR = 3_600_000;

/** The shop: it serves requests at every level, consumes its own messages and those of its consumers, and is swept. */
export function shop(withLog: boolean): Service {
  const ac = aftercommit<Env>(({ ports, world, process }) => {
    const { setup } = world;
    return {
      publicUrl: SHOP,
      routes: ROUTES,
      observer: { event: (event) => world.oracle.told(process, event) },
      ...ports,
      recovery: {
        ...(setup.watchdog ? { watchdog: 120_000 } : {}),
        ...(setup.forgetful ? { retryHorizon: HOUR, redriveWithin: HOUR, decisionRetention: 2 * HOUR } : {}),
        ...ports.recovery,
      },
      consumers: { ...(setup.forgetful ? { retention: 2 * HOUR } : {}), ...ports.consumers },
    };
  });
  const app: App = new Hono<AftercommitEnv<Env>>({ router: new LinearRouter() });
  app.onError((_error, c) => c.body(null, 500));
  mountProducers(app, ac, withLog);
  mountConsumers(app, ac);
  app.route("/_aftercommit", ac.operations());
  return { app, ac };
}
