import { ConfigurationError } from "../../src/errors.ts";
import { listenOnLoopback } from "./loopback-server.ts";
import { createQStash, type QStash, type QStashOptions } from "./qstash/index.ts";

export interface DevServerOptions {
  /**
   * The port of QStash; 0 for any free one.
   *
   * @default 0
   */
  readonly port?: number;
  /** Options of the embedded QStash. */
  readonly qstash?: QStashOptions;
}

/** A running development server: what an app needs to talk to it, and the engines behind. */
export interface DevServer {
  readonly qstash: {
    readonly url: string;
    readonly token: string;
    readonly currentSigningKey: string;
    readonly nextSigningKey: string;
    readonly engine: QStash;
  };
  /** Ends everything: deliveries, listeners, connections. */
  close(): Promise<void>;
}

/**
 * Starts QStash on this machine, for development and tests. Tokens and signing keys are random for each start unless
 * they are given.
 *
 * @throws ConfigurationError with NODE_ENV=production
 */
export async function startDevServer(options: DevServerOptions = {}): Promise<DevServer> {
  refuseProduction();
  const engine = createQStash(options.qstash);
  const listener = await listenOnLoopback(engine.fetch, options.port);
  const { current, next } = engine.signingKeys();
  return {
    qstash: { url: listener.url, token: engine.token, currentSigningKey: current, nextSigningKey: next, engine },
    async close() {
      await Promise.all([engine.stop(), listener.close()]);
    },
  };
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
