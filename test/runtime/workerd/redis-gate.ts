import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Stands between a Worker and Redis, and can keep its calls waiting. */
export interface RedisGate {
  readonly url: string;
  /** From now on calls wait; resolves when the first one does. */
  hold(): Promise<void>;
  /** Lets through what waits, and what comes. */
  release(): void;
  close(): Promise<void>;
}

/** Starts a gate on a free loopback port, open. */
export async function startRedisGate(redisUrl: string): Promise<RedisGate> {
  let opened = Promise.withResolvers<void>();
  let arrived = Promise.withResolvers<void>();
  opened.resolve();

  const forward = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    arrived.resolve();
    await opened.promise;
    const { authorization = "", "content-type": type = "application/json" } = incoming.headers;
    const response = await fetch(redisUrl + incoming.url, {
      method: incoming.method ?? "POST",
      headers: { authorization, "content-type": type },
      body: Buffer.concat(chunks),
    });
    outgoing.writeHead(response.status, { "content-type": "application/json" });
    outgoing.end(await response.text());
  };

  const server = createServer((incoming, outgoing) => {
    forward(incoming, outgoing).catch(() => outgoing.destroy());
  }).listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    hold() {
      opened = Promise.withResolvers();
      arrived = Promise.withResolvers();
      return arrived.promise;
    },
    release: () => opened.resolve(),
    async close() {
      opened.resolve();
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
