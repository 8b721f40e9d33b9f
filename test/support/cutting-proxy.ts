import { once } from "node:events";
import { createConnection, createServer } from "node:net";
import type { Socket } from "node:net";

/** Stands between a client and a PostgreSQL, and cuts connections. */
export interface CuttingProxy {
  /** The address of a database, through the proxy. */
  url(address: string): string;
  /**
   * What becomes of the next COMMIT: it passes; the connection is cut before it arrives; it is done, and the connection
   * is cut before its answer arrives.
   */
  commit: "passes" | "never arrives" | "is not answered";
  /** Cuts every connection. */
  cut(): void;
  /** Ends the proxy. */
  stop(): Promise<void>;
}

const HOST = "127.0.0.1";
/** The statement in a simple query, and the tag in its answer, both end so. */
const COMMIT = /commit\0/i;

/** Starts a proxy for the PostgreSQL at that port. */
export async function startCuttingProxy(port: number): Promise<CuttingProxy> {
  const pairs = new Set<() => void>();
  const server = createServer((client) => {
    const upstream = createConnection({ host: HOST, port });
    const cut = (): void => {
      pairs.delete(cut);
      client.destroy();
      upstream.destroy();
    };
    pairs.add(cut);
    for (const socket of [client, upstream]) socket.on("error", cut).on("close", cut);
    forward(client, upstream, cut);
  }).listen(0, HOST);
  await once(server, "listening");

  const forward = (client: Socket, upstream: Socket, cut: () => void): void => {
    let swallowed: string | undefined;
    client.on("data", (chunk) => {
      if (COMMIT.test(chunk.toString("latin1"))) {
        if (proxy.commit === "never arrives") cut();
        if (proxy.commit === "is not answered") swallowed = "";
      }
      if (upstream.writable) upstream.write(chunk);
    });
    upstream.on("data", (chunk) => {
      if (swallowed === undefined) client.write(chunk);
      else if (COMMIT.test((swallowed += chunk.toString("latin1")))) cut();
    });
  };
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("expected the address of a TCP server");
  const proxy: CuttingProxy = {
    commit: "passes",
    url(direct) {
      const url = new URL(direct);
      url.port = String(address.port);
      return url.href;
    },
    cut() {
      for (const cut of pairs) cut();
    },
    async stop() {
      proxy.cut();
      server.close();
      await once(server, "close");
    },
  };
  return proxy;
}
