import { ConfigurationError } from "../../src/errors.ts";
import { listenOnLoopback, type LoopbackServer } from "./loopback-server.ts";
import { randomId } from "./qstash/ids.ts";
import { createQStash, type QStash, type QStashOptions } from "./qstash/index.ts";
import {
  connectRedisServer,
  createRedisEngine,
  createRedisRest,
  type RedisBackend,
  type RedisEngine,
  type RedisServerOptions,
} from "./redis/index.ts";

/** What can be changed about the development server; all of it is optional. */
export interface DevServerOptions {
  /**
   * The port of QStash; 0 for any free one.
   *
   * @default 0
   */
  readonly port?: number;
  /**
   * The port of the Redis REST API; 0 for any free one.
   *
   * @default 0
   */
  readonly redisPort?: number;
  /**
   * The token of the Redis REST API.
   *
   * @default a random one
   */
  readonly redisToken?: string;
  /**
   * A real Redis server behind the REST API, reached over TCP.
   *
   * @default the embedded engine, which forgets everything when it ends
   */
  readonly redis?: RedisServerOptions;
  /** Options of the embedded QStash. */
  readonly qstash?: QStashOptions;
}

/** The running QStash. */
export interface DevQStash {
  /** The `baseUrl` of the SDK's client. */
  readonly url: string;
  /** The token of the SDK's client. */
  readonly token: string;
  /** The first key of a receiver. */
  readonly currentSigningKey: string;
  /** The second key of a receiver. */
  readonly nextSigningKey: string;
  /** What answers behind the URL: to await, to count. */
  readonly engine: QStash;
}

/** The running Redis. */
export interface DevRedis {
  /** The `url` of the SDK's client. */
  readonly url: string;
  /** The token of the SDK's client. */
  readonly token: string;
  /** Executes the commands: the embedded engine, or the real server. */
  readonly backend: RedisBackend;
  /** The embedded engine, unless a real server is used. */
  readonly engine: RedisEngine | undefined;
}

/** A running development server: what an app needs to talk to it, and the engines behind. */
export interface DevServer {
  /** QStash and its credentials. */
  readonly qstash: DevQStash;
  /** Redis and its credentials. */
  readonly redis: DevRedis;
  /** Ends everything: deliveries, listeners, connections. */
  readonly close: () => Promise<void>;
}

/**
 * Starts QStash and Upstash Redis on this machine, for development and tests: two listeners on 127.0.0.1, for programs
 * and not for web pages. Tokens and signing keys are random for each start unless they are given.
 *
 * @example
 * ```ts
 * import { startDevServer } from "aftercommit/dev";
 * import { Client } from "@upstash/qstash";
 *
 * const server = await startDevServer({ qstash: { timeFactor: 0.01 } });
 * const client = new Client({ baseUrl: server.qstash.url, token: server.qstash.token });
 * await client.publishJSON({ url: "http://127.0.0.1:3000/hook", body: { hello: "world" } });
 * await server.qstash.engine.idle();
 * await server.close();
 * ```
 *
 * @throws ConfigurationError with NODE_ENV=production
 */
export async function startDevServer(options: DevServerOptions = {}): Promise<DevServer> {
  refuseProduction();
  const ends: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(ends.map((end) => end()));
  };
  try {
    const listen = async (...handlerAndPort: Parameters<typeof listenOnLoopback>): Promise<LoopbackServer> => {
      const listener = await listenOnLoopback(...handlerAndPort);
      ends.push(listener.close);
      return listener;
    };
    const qstash = createQStash(options.qstash);
    ends.push(qstash.stop);
    const redis = await startRedis(options.redis);
    ends.push(redis.end);
    const redisToken = options.redisToken ?? randomId("tok");
    const rest = createRedisRest({ backend: redis.backend, token: redisToken });
    const { url } = await listen(qstash.fetch, options.port);
    const { url: redisUrl } = await listen(rest, options.redisPort);
    const { current, next } = qstash.signingKeys();
    return {
      qstash: { url, token: qstash.token, currentSigningKey: current, nextSigningKey: next, engine: qstash },
      redis: { url: redisUrl, token: redisToken, backend: redis.backend, engine: redis.engine },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

interface RunningRedis {
  readonly backend: RedisBackend;
  readonly engine: RedisEngine | undefined;
  readonly end: () => Promise<void>;
}

async function startRedis(server: RedisServerOptions | undefined): Promise<RunningRedis> {
  if (server === undefined) {
    const engine = createRedisEngine();
    return { backend: engine, engine, end: () => Promise.resolve() };
  }
  const backend = await connectRedisServer(server);
  return { backend, engine: undefined, end: () => backend.close() };
}

function refuseProduction(): void {
  if (process.env["NODE_ENV"] !== "production") return;
  throw new ConfigurationError([
    {
      path: "NODE_ENV",
      expected: 'anything but "production"',
      found: '"production"',
      remedy: "The development server keeps everything in memory: use QStash and Upstash Redis in production.",
    },
  ]);
}
