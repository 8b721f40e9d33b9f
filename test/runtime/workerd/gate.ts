import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** Something that a Worker calls, and that keeps it waiting. */
export interface Gate {
  readonly url: string;
  /** Resolves when a call has come. */
  readonly called: Promise<void>;
  /** Answers what waits, and what comes. */
  open(): void;
  close(): Promise<void>;
}

/** Starts a closed gate on a free loopback port. */
export async function startGate(): Promise<Gate> {
  const opened = Promise.withResolvers<void>();
  const called = Promise.withResolvers<void>();
  const server = createServer((_, response) => {
    called.resolve();
    void opened.promise.then(() => response.end("go on"));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    called: called.promise,
    open: () => opened.resolve(),
    async close() {
      opened.resolve();
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
