import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";

/** A way to a database server that can break. */
export interface MysqlProxy {
  readonly port: number;
  /** Cuts the connection at the next packet that holds a text: before the server sees it, or before the client sees the answer. */
  cutAt(text: string, when: "before" | "after"): void;
  stop(): Promise<void>;
}

/** Starts a proxy in front of a server on a loopback port. */
export async function startMysqlProxy(target: number): Promise<MysqlProxy> {
  let cut: { readonly text: string; readonly when: "before" | "after" } | undefined;
  const sockets = new Set<Socket>();
  const proxy = createServer((client) => {
    const server = connect(target, "127.0.0.1");
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    }
    const end = (): void => {
      client.destroy();
      server.destroy();
    };
    let cutting = false;
    client.on("data", (chunk: Buffer) => {
      if (cut !== undefined && chunk.includes(cut.text)) {
        cutting = cut.when === "after";
        cut = undefined;
        if (!cutting) return end();
      }
      server.write(chunk);
    });
    server.on("data", (chunk: Buffer) => (cutting ? end() : client.write(chunk)));
    client.on("close", end);
    server.on("close", end);
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return {
    port: (proxy.address() as AddressInfo).port,
    cutAt(text, when) {
      cut = { text, when };
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      const closed = once(proxy, "close");
      proxy.close();
      await closed;
    },
  };
}
