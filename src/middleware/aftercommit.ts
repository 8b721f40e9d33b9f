import type { Handler as HonoHandler, Hono, MiddlewareHandler } from "hono";
import { askDatabase } from "../core/ask.ts";
import type { Databases, HandleOf } from "../core/database-types.ts";
import { withDatabase } from "../core/databases.ts";
import { sweep } from "../core/sweep.ts";
import type { SweepOptions } from "../core/sweep.ts";
import type { Transaction } from "../core/transaction.ts";
import { withTransaction } from "../core/with-transaction.ts";
import type { TransactionWork, WithTransactionOptions } from "../core/with-transaction.ts";
import { ConfigurationError } from "../errors.ts";
import type { Topic } from "../model/topic.ts";
import { operatorOf } from "../operations/operator.ts";
import type { Operator } from "../operations/operator.ts";
import { operationsRoutes } from "../operations/routes.ts";
import { background } from "./background.ts";
import { configure } from "./configuration.ts";
import type { Service } from "./configuration.ts";
import { environmentOf } from "./environment.ts";
import { consumerHandler } from "./consumer.ts";
import type { ConsumerHandler, ConsumerOptions } from "./consumer.ts";
import { keepInternals } from "./internals.ts";
import type { AftercommitOptions } from "./options.ts";
import { declareSubscriber, subscribersOf } from "./subscriber.ts";
import type { DeclaredSubscriber, SubscriberHandler, SubscriberOptions, Subscribers } from "./subscriber.ts";
import { transactionMiddleware } from "./transaction.ts";
import type { TransactionOptions } from "./transaction.ts";

/** A configured service: what an app mounts, and what its operators call. */
export interface Aftercommit<Env = unknown, All extends Databases = Databases> {
  /**
   * The middleware that gives a route its transaction, as `c.var.tx`. A request that publishes nothing does no I/O.
   *
   * @throws {ConfigurationError} where the service cannot produce.
   */
  transaction(options?: TransactionOptions<All>): MiddlewareHandler;
  /**
   * The handler of a consumer's route: verifies, validates, and runs `handler` for each message once at a time.
   *
   * @throws {ConfigurationError} where the service cannot consume, or the name is taken.
   */
  consumer<Input, Data>(
    topic: Topic<Input, Data>,
    handler: ConsumerHandler<Data, All>,
    options?: ConsumerOptions<All>,
  ): HonoHandler;
  /**
   * Declares who is handed the messages to `scheme:channel/name`, for transports that call no URL: `handler` runs for each
   * message once at a time, through the same inbox, retries and dead letters as a consumer's route. The name is its name in
   * the inbox, and may be that of a consumer that does the same.
   *
   * @throws {ConfigurationError} where the service cannot consume, or the name is taken or not usable.
   */
  subscribe<Input, Data>(
    topic: Topic<Input, Data>,
    name: string,
    handler: SubscriberHandler<Data, Env, All>,
    options?: SubscriberOptions<All>,
  ): void;
  /** Hands deliveries to what {@link Aftercommit.subscribe} has declared: for the adapters of such transports. */
  subscribers(env?: Env): Subscribers;
  /**
   * Runs a transaction without a request: cron jobs, queue handlers, scripts. With a database that keeps transactions open,
   * `work` runs inside of one, with its handle; with one that takes batches only, `work` calls `tx.batch` itself. When the
   * promise resolves, the messages were handed to the transport, or wait for a sweep.
   *
   * @throws what `work` throws, after a rollback; and whatever `tx.run` throws.
   */
  withTransaction<Name extends keyof All & string, T>(
    database: Name,
    work: (tx: Transaction<All>, sql: HandleOf<All, Name>) => Promise<T>,
    options?: WithTransactionOptions<Env>,
  ): Promise<T>;
  /**
   * Finds out whether every database is ready: our tables are there and may be used, and it is no replica. For the start of
   * a server, or a deployment's smoke test.
   *
   * @throws {DatabaseNotReadyError} with the SQL to run.
   */
  verify(env?: Env): Promise<void>;
  /** The routes for the transport, cron jobs and people; mount them at `operations.path`. */
  operations(): Hono;
  /** The same as functions. With an environment where the configuration takes one. */
  operator(env?: Env): Operator;
  /** Sweeps: a Workers Cron Trigger's handler. An error is told to the observer, and thrown for the platform to show. */
  scheduled(
    event: unknown,
    env: Env,
    context: { waitUntil(promise: Promise<unknown>): void },
    options?: SweepOptions,
  ): Promise<void>;
  /** Resolves when the work that goes on after responses has ended: call it before a process ends. */
  drain(): Promise<void>;
}

/**
 * Configures a service. A plain object is checked at once; a function is called, and its result checked, once per
 * environment, when the first request of that environment comes in (Workers have no environment before). On Node, Deno
 * and Bun it is given the environment of the process.
 *
 * @throws {ConfigurationError} with every problem at once, each with its remedy.
 * @example
 * ```ts
 * const ac = aftercommit<Env>((env) => ({
 *   publicUrl: env.PUBLIC_URL,
 *   log: upstashRedis(new Redis({ url: env.REDIS_URL, token: env.REDIS_TOKEN })),
 *   transport: qstash({ client: new Client({ token: env.QSTASH_TOKEN }), currentSigningKey: env.CURRENT, nextSigningKey: env.NEXT }),
 *   routes: { [orderPaid.name]: ["/consumers/receipt"] },
 * }));
 * ```
 */
export function aftercommit<Env = unknown, All extends Databases = Databases>(
  options: AftercommitOptions<All> | ((env: Env) => AftercommitOptions<All>),
): Aftercommit<Env, All> {
  // What the databases' types are is the user's to know: within, every database is any.
  return serve(options as AftercommitOptions | ((env: Env) => AftercommitOptions)) as unknown as Aftercommit<Env, All>;
}

function serve<Env>(options: AftercommitOptions | ((env: Env) => AftercommitOptions)): Aftercommit<Env> {
  const after = background();
  const names = new Set<string>();
  const subscribers = new Map<string, DeclaredSubscriber>();
  const needs = {
    consumers: false,
    subscribers: false,
    producers: false,
    log: false,
    checks: new Set<string>(),
    databases: new Set<string>(),
  };
  const services = new WeakMap<object, Service>();

  const serviceOf = (passed: unknown): Service => {
    const env = typeof options === "function" ? environmentOf(passed) : options;
    const found = services.get(env);
    if (found !== undefined) return found;
    const made = configured(env);
    services.set(env, made);
    return made;
  };
  const configured = (env: object): Service => {
    if (typeof options !== "function") return configure(options, needs, {});
    try {
      return configure(options(env as Env), needs, env);
    } catch (error) {
      // There is no observer yet, and the answer to the request that found it keeps the details to itself.
      console.error(error);
      throw error;
    }
  };
  /** Something new is needed of a plain configuration: check it again, now and not at the first request. */
  const need = (change: () => void): void => {
    change();
    if (typeof options !== "function") configured(options);
  };
  if (typeof options !== "function") serviceOf(options);

  const ac: Aftercommit<Env> = {
    transaction(transactionOptions) {
      need(() => {
        const { check, database } = transactionOptions ?? {};
        needs.producers = true;
        if (database === undefined) needs.log = true;
        else needs.databases.add(database);
        if (check !== undefined) needs.checks.add(check);
      });
      requireOneLevel(transactionOptions);
      return transactionMiddleware(serviceOf, after, transactionOptions);
    },

    consumer(topic, handler, consumerOptions) {
      const name = consumerOptions?.name;
      if (name !== undefined) claimName(names, name);
      need(() => {
        needs.consumers = true;
        if (consumerOptions?.database !== undefined) needs.databases.add(consumerOptions.database);
      });
      return consumerHandler(serviceOf, after, topic as Topic, handler as ConsumerHandler<unknown>, consumerOptions);
    },

    subscribe(topic, name, handler, subscriberOptions = {}) {
      declareSubscriber(subscribers, name, {
        topic,
        handler: handler as SubscriberHandler<unknown>,
        options: subscriberOptions,
      });
      need(() => {
        needs.subscribers = true;
        if (subscriberOptions.database !== undefined) needs.databases.add(subscriberOptions.database);
      });
    },

    subscribers: (env) => subscribersOf(serviceOf(env), subscribers, env),

    withTransaction(database, work, { env, ...runOptions } = {}) {
      const { core } = serviceOf(env);
      return withTransaction(core, database, work as unknown as TransactionWork<never>, runOptions);
    },

    async verify(env) {
      const { core } = serviceOf(env);
      for (const name of core.databases.keys())
        await withDatabase(core, name, (database) =>
          askDatabase(core, `the database "${name}" to be ready`, () => database.verify()),
        );
    },

    operations: () => operationsRoutes(serviceOf),

    operator: (env) => operatorOf(serviceOf(env)),

    async scheduled(_event, env, context, sweepOptions) {
      const { core } = serviceOf(env);
      const swept = sweep(core, sweepOptions);
      context.waitUntil(swept.catch((error: unknown) => core.emit({ type: "background", error })));
      await swept;
    },

    drain: () => after.drain(),
  };
  keepInternals(ac, {
    serviceOf,
    after,
    need: (database) =>
      need(() => {
        needs.subscribers = true;
        if (database !== undefined) needs.databases.add(database);
      }),
  });
  return ac;
}

/** A database decides alone. */
function requireOneLevel(options: TransactionOptions = {}): void {
  const { database, check, commitWhen, whenLogUnavailable } = options;
  if (database === undefined) return;
  const prepare = options.prepare === "eager" ? "eager" : undefined;
  const others = { check, commitWhen, whenLogUnavailable, prepare };
  const other = Object.entries(others).find(([, value]) => value !== undefined);
  if (other === undefined) return;
  throw new ConfigurationError([
    {
      path: `transaction.${other[0]}`,
      expected: "nothing beside a database, whose commit decides alone",
      found: "both",
      remedy: "Leave one of the two out.",
    },
  ]);
}

function claimName(names: Set<string>, name: string): void {
  const taken = names.has(name);
  names.add(name);
  if (!taken && name !== "" && name.length <= 256) return;
  throw new ConfigurationError([
    {
      path: "consumer.name",
      expected: "a name of 1 to 256 characters that no other consumer has",
      found: JSON.stringify(name.slice(0, 256)),
      remedy: "Name each consumer after what it does; the inbox keeps them apart by it.",
    },
  ]);
}
