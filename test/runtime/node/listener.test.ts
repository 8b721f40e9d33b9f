import { once } from "node:events";
import { createServer } from "node:https";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { serve } from "aftercommit/node";
import type { FetchApp, ServeOptions } from "aftercommit/node";
import { expect, onTestFinished, test, vi } from "vitest";
import { fakeService, gate } from "../../unit/serving/parts.ts";

/** Serves in this process, for as long as the test takes. */
async function start(app: FetchApp, options: Partial<ServeOptions> = {}) {
  const { options: service, told } = fakeService();
  const server = await serve(app, {
    ...service,
    port: 0,
    hostname: "127.0.0.1",
    signals: [],
    sweepEvery: false,
    ...options,
  });
  onTestFinished(async () => void (await server.close()));
  return { server, told, url: `http://127.0.0.1:${server.port}` };
}

async function open(port: number, text = ""): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port });
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => undefined);
  await once(socket, "connect");
  socket.write(text);
  return socket;
}

test("connections without a whole request do not hold up the end", async () => {
  const { server, url } = await start({ fetch: () => new Response("ok") });
  const sockets = await Promise.all([open(server.port), open(server.port, "GET / HTTP/1.1\r\nHost")]);
  // By then the server knows of both.
  expect((await fetch(url)).status).toBe(200);
  const closed = sockets.map((socket) => once(socket, "close"));
  expect(await server.close()).toMatchObject({ clean: true });
  await Promise.all(closed);
});

test("a request that is answered during the end has its connection closed, so that no other comes on it", async () => {
  const answer = gate();
  const app = vi.fn(async () => {
    await answer.passed;
    return new Response("ok");
  });
  const { server } = await start({ fetch: app });
  const socket = await open(server.port, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  let said = "";
  socket.on("data", (chunk: Buffer) => (said += String(chunk)));
  await vi.waitFor(() => expect(app).toHaveBeenCalled());
  const closed = server.close();
  answer.open();
  expect(await closed).toMatchObject({ clean: true });
  await once(socket, "close");
  expect(said).toMatch(/^connection: close\r$/im);
  expect(said).toContain("ok");
});

test("a response that is still being sent counts as a request in flight", async () => {
  const rest = gate();
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      controller.enqueue(new TextEncoder().encode("first,"));
      await rest.passed;
      controller.enqueue(new TextEncoder().encode("last"));
      controller.close();
    },
  });
  const { server, url } = await start({ fetch: () => new Response(body) });
  const response = await fetch(url);
  const ended = vi.fn();
  const closed = server.close().then(ended);
  const reader = response.body!.getReader();
  await reader.read();
  expect(ended).not.toHaveBeenCalled();
  rest.open();
  expect(new TextDecoder().decode((await reader.read()).value)).toBe("last");
  await closed;
  expect(ended).toHaveBeenCalledWith(expect.objectContaining({ clean: true }));
});

test("a request whose client has gone is waited for all the same: its work may be half done", async () => {
  const [begun, gone, work] = [gate(), gate(), gate()];
  const { server, url } = await start({
    async fetch(request) {
      request.signal.addEventListener("abort", gone.open);
      begun.open();
      await work.passed;
      return new Response("nobody reads this");
    },
  });
  const client = new AbortController();
  const request = expect(fetch(url, { signal: client.signal })).rejects.toBe("gone");
  await begun.passed;
  client.abort("gone");
  await request;
  await gone.passed;
  const closed = server.close();
  // Whatever else there is to be done takes less.
  expect(await Promise.race([closed, wait(100, "still waiting")])).toBe("still waiting");
  work.open();
  expect(await closed).toMatchObject({ clean: true });
});

test("a request that hangs is reported and cut off, and the process goes on", async () => {
  const begun = gate();
  const hang = (): Promise<Response> => {
    begun.open();
    return new Promise(() => undefined);
  };
  const { server, told, url } = await start({ fetch: hang }, { drainWithin: "50ms" });
  const cutOff = expect(fetch(url)).rejects.toThrow();
  await begun.passed;
  expect(await server.close()).toEqual({ clean: false, requests: 1, sweep: false, background: false, release: false });
  await cutOff;
  expect(told()).toEqual(["Expected the end within 50 ms, found 1 request left."]);
});

test("an address that is taken rejects", async () => {
  const { server } = await start({ fetch: () => new Response("ok") });
  await expect(start({ fetch: () => new Response("ok") }, { port: server.port })).rejects.toMatchObject({
    code: "EADDRINUSE",
  });
});

test("what @hono/node-server takes is passed on", async () => {
  const created = vi.fn(createServer);
  const { server } = await start(
    { fetch: () => new Response("ok") },
    { serverOptions: { createServer: created, serverOptions: { requestTimeout: 1234 } } },
  );
  expect(created).toHaveBeenCalledWith({ requestTimeout: 1234 }, expect.any(Function));
  expect(await server.close()).toMatchObject({ clean: true });
});
