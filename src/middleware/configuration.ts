import { ConfigurationError } from "../errors.ts";
import type { ConfigurationProblem } from "../errors.ts";
import type { Check, Core, Route } from "../core/core.ts";
import { databaseInbox } from "../core/databases.ts";
import { neededMillis } from "../core/seal.ts";
import { watchdog } from "../core/watchdog.ts";
import type { Watchdog } from "../core/watchdog.ts";
import { hashDestination } from "../model/delivery.ts";
import { addressOf, isLoopback, isPath, parseUrl, resolveDestination } from "../model/destination.ts";
import type { LogStore } from "../ports/log-store.ts";
import type { Receiver } from "../ports/receiver.ts";
import { systemClock } from "../system/clock.ts";
import { consoleObserver } from "../system/console-observer.ts";
import { webCrypto } from "../system/crypto.ts";
import { variableOf } from "./environment.ts";
import { DEFAULT_OPERATIONS_PATH } from "./options.ts";
import type { AftercommitOptions } from "./options.ts";
import { checkedSettings } from "./settings.ts";
import { callsUrls } from "./transports.ts";

/** What a delivered body has more than its half message, at most. */
const STAMP_BYTES = 64;

/** A configuration that has been checked, as the middleware uses it. */
export interface Service {
  readonly core: Core;
  readonly watchdog: Watchdog;
  readonly publicUrl: URL | undefined;
  readonly receiver: Receiver | undefined;
  readonly bearer: string | undefined;
  /** The database of consumers that name none: the one that is their inbox. */
  readonly inboxDatabase: string | undefined;
}

/** What the parts of an app that exist by now need of the configuration. */
export interface Needs {
  readonly consumers: boolean;
  readonly subscribers?: boolean;
  readonly producers: boolean;
  /** Whether a route's transactions are decided by the log. */
  readonly log: boolean;
  readonly checks: ReadonlySet<string>;
  /** The databases that routes and consumers name. */
  readonly databases: ReadonlySet<string>;
}

/**
 * Checks a configuration and makes the service of it. No I/O.
 *
 * @throws {ConfigurationError} with every problem at once.
 */
export function configure(options: AftercommitOptions, needs: Needs, env: object): Service {
  const problems: ConfigurationProblem[] = [];
  const publicUrl = checkedPublicUrl(options, problems);
  const dev = options.dev === true && publicUrl !== undefined && isLoopback(publicUrl);
  const store = options.log ?? (isStore(options.inbox) ? options.inbox : undefined);
  const inboxDatabase = typeof options.inbox === "string" ? options.inbox : undefined;
  const databases = new Map(Object.entries(options.databases ?? {}));
  const receiver = options.receiver ?? options.transport?.receiver;
  const checks = Object.assign(Object.create(null) as Record<string, Check>, options.checks);
  const operationsPath = checkedOperationsPath(options, problems);
  const settings = checkedSettings(options, { publicUrl, operationsPath, receiver }, problems);
  const routes = checkedRoutes(options, { publicUrl, dev }, problems);

  for (const part of new Set([options.transport, receiver, options.calls]))
    problems.push(...(part?.problems?.({ dev }) ?? []));
  problems.push(...(options.payloads?.problems({ neededMillis: neededMillis(settings) }) ?? []));
  if (options.dev === true && !dev) {
    problems.push({
      path: "dev",
      expected: "false, or a publicUrl on this machine",
      found: "true",
      remedy: "Leave dev out in production.",
    });
  }
  if (!dev && isSet(variableOf(env, "QSTASH_DEV"))) {
    problems.push({
      path: "QSTASH_DEV",
      expected: "not to be set",
      found: "set",
      remedy: "Unset it; for local work pass dev: true and a loopback publicUrl.",
    });
  }
  if (needs.producers || routes.size > 0) {
    if (options.log === undefined && (needs.log || databases.size === 0))
      problems.push(missing("log", "where half messages are kept", "Pass upstashRedis(…) or redis(…)."));
    if (options.transport === undefined)
      problems.push(missing("transport", "what carries messages", "Pass qstash({ client })."));
  }
  if (needs.consumers) {
    if (publicUrl === undefined && options.publicUrl === undefined) {
      problems.push(
        missing(
          "publicUrl",
          "the URL that signatures are bound to",
          "Set it to the URL under which this service is reached.",
        ),
      );
    }
    if (receiver === undefined) {
      problems.push(
        missing("receiver", "what verifies deliveries", "Pass both signing keys to qstash(…), or qstashReceiver(…)."),
      );
    }
  }
  if ((needs.consumers || needs.subscribers === true) && options.inbox === undefined && options.log === undefined) {
    problems.push(
      missing(
        "inbox",
        "where consumed messages are remembered",
        "Pass upstashRedis(…), redis(…), or the name of a database.",
      ),
    );
  }
  const { maxMessageBytes, bodyLimitBytes } = settings;
  if (needs.consumers && needs.producers && bodyLimitBytes < maxMessageBytes + STAMP_BYTES) {
    problems.push({
      path: "consumers.bodyLimit",
      expected: `at least ${maxMessageBytes + STAMP_BYTES} (maxMessageBytes and ${STAMP_BYTES} for the time of the decision)`,
      found: `${bodyLimitBytes}`,
      remedy: "Raise it, or lower maxMessageBytes: a consumer would never take the largest messages.",
    });
  }
  for (const name of new Set([...needs.databases, ...(inboxDatabase === undefined ? [] : [inboxDatabase])])) {
    if (databases.has(name)) continue;
    const remedy = "Register it, by a driver or a function that opens one.";
    problems.push(missing(`databases.${name}`, "the database that a route, a consumer or the inbox names", remedy));
  }
  for (const check of needs.checks) {
    if (checks[check] === undefined) {
      problems.push(
        missing(
          `checks.${check}`,
          "the check that a route names",
          "Add a function that looks the transaction up in the business data.",
        ),
      );
    }
  }
  const bearer = options.operations?.bearer;
  if (bearer !== undefined && bearer.length < 32) {
    problems.push({
      path: "operations.bearer",
      expected: "at least 32 characters",
      found: `${bearer.length}`,
      remedy: "Draw a random one.",
    });
  }
  if (problems.length > 0) throw new ConfigurationError(problems);

  const observer = options.observer ?? consoleObserver();
  const clock = options.clock ?? systemClock;
  const crypto = options.crypto ?? webCrypto;
  const hashed = new Map<string, Promise<readonly Route[]>>();
  const hashAll = (urls: readonly string[]) =>
    Promise.all(urls.map(async (url) => ({ url, hash: await hashDestination(crypto, url) })));
  const emit: Core["emit"] = (event) => {
    try {
      observer.event(event);
    } catch {
      // An observer's trouble is not the transaction's.
    }
  };
  const core: Core = {
    clock,
    crypto,
    emit,
    settings,
    store,
    transport: options.transport,
    inbox: inboxOf(options, { databases, emit }),
    payloads: options.payloads,
    databases,
    checks,
    calls: options.calls,
    consumerNames: new Map(),
    audit: { lastAt: clock.now() },
    routes(topic) {
      let found = hashed.get(topic);
      if (found === undefined) hashed.set(topic, (found = hashAll(routes.get(topic) ?? [])));
      return found;
    },
    armWatchdog: () => dog.arm(),
  };
  const dog = watchdog(core);
  return { core, watchdog: dog, publicUrl, receiver, bearer, inboxDatabase };
}

function isStore(value: AftercommitOptions["inbox"]): value is LogStore {
  return typeof value === "object" && "transactions" in value;
}

function inboxOf(options: AftercommitOptions, core: Pick<Core, "databases" | "emit">): Core["inbox"] {
  const { inbox, log } = options;
  if (typeof inbox === "string") return databaseInbox(core, inbox);
  return isStore(inbox) ? inbox.inbox : (inbox ?? log?.inbox);
}

function missing(path: string, expected: string, remedy: string): ConfigurationProblem {
  return { path, expected, found: "nothing", remedy };
}

function isSet(variable: unknown): boolean {
  return variable !== undefined && variable !== "" && variable !== "false";
}

function checkedOperationsPath(options: AftercommitOptions, problems: ConfigurationProblem[]): string {
  const path = options.operations?.path ?? DEFAULT_OPERATIONS_PATH;
  if (isPath(path)) return path;
  problems.push({
    path: "operations.path",
    expected: "an absolute path without query or dot segments",
    found: JSON.stringify(path.slice(0, 200)),
    remedy: `Write one such as "${DEFAULT_OPERATIONS_PATH}".`,
  });
  return DEFAULT_OPERATIONS_PATH;
}

function checkedPublicUrl(options: AftercommitOptions, problems: ConfigurationProblem[]): URL | undefined {
  const { publicUrl } = options;
  if (publicUrl === undefined) return undefined;
  const url = parseUrl(publicUrl);
  const allowed =
    url !== undefined &&
    (url.protocol === "https:" || (options.dev === true && url.protocol === "http:" && isLoopback(url)));
  if (allowed && url.search === "" && url.hash === "" && url.username === "" && url.password === "") return url;
  problems.push({
    path: "publicUrl",
    expected: "an absolute https URL without query, fragment or credentials (with dev: true also http on loopback)",
    found: JSON.stringify(publicUrl.slice(0, 200)),
    remedy: "Set it to the URL under which the transport reaches this service.",
  });
  return undefined;
}

function checkedRoutes(
  options: AftercommitOptions,
  { publicUrl, dev }: { readonly publicUrl: URL | undefined; readonly dev: boolean },
  problems: ConfigurationProblem[],
): ReadonlyMap<string, readonly string[]> {
  const routes = new Map<string, readonly string[]>();
  const { transport } = options;
  const { channels = {} } = transport ?? {};
  const onlyChannels = transport !== undefined && !callsUrls(transport);
  for (const [topic, listed] of Object.entries(options.routes ?? {})) {
    const urls: string[] = [];
    const destinations = typeof listed === "string" ? [listed] : listed;
    for (const [i, destination] of destinations.entries()) {
      const path = `routes[${JSON.stringify(topic)}][${i}]`;
      const resolved = resolveDestination(destination, { publicUrl: publicUrl?.href, dev, path, channels });
      if ("problem" in resolved) problems.push(resolved.problem);
      else if (onlyChannels && addressOf(resolved.url) === undefined) {
        problems.push({
          path,
          expected: "a destination of the transport",
          found: JSON.stringify(resolved.url),
          remedy: "Pass one that calls URLs too: transports(qstash(…), …).",
        });
      } else if (urls.includes(resolved.url)) {
        problems.push({
          path,
          expected: "each destination once",
          found: JSON.stringify(resolved.url),
          remedy: "Remove the second.",
        });
      } else urls.push(resolved.url);
    }
    routes.set(topic, urls);
  }
  return routes;
}
