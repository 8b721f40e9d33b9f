import { once } from "node:events";
import { createServer } from "node:net";
import { Pool } from "pg";
import { expect, test } from "vitest";
import { nodePostgres } from "../../adapters/sql/index.ts";

/** One message of PostgreSQL's protocol. */
function message(type: string, body: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(4 + body.length);
  return Buffer.concat([Buffer.from(type), length, body]);
}

const AUTHENTICATED = message("R", Buffer.alloc(4));
const READY = message("Z", Buffer.from("I"));
const FAREWELL = message("E", Buffer.from("SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"));

// A process ends by an error that no listener of a client hears, and vitest fails by it.
test("a server that greets a pool's client and bids it farewell in one breath ends the transaction, and not the process", async () => {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => socket.end(Buffer.concat([AUTHENTICATED, READY, FAREWELL])));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("expected the address of a TCP server");
  const pool = new Pool({ host: "127.0.0.1", port: address.port, user: "test", database: "test" });
  try {
    const outcome = await nodePostgres(pool).run(async () => "done");
    expect(outcome).toMatchObject({ status: "rolledBack" });
    expect(pool.totalCount).toBe(0);
  } finally {
    await pool.end();
    server.close();
  }
});
