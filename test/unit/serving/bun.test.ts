import { serve } from "aftercommit/bun";
import { afterEach, expect, test, vi } from "vitest";
import { fakeService } from "./parts.ts";

afterEach(() => vi.unstubAllGlobals());

interface Passed {
  fetch(request: Request, server: object): Promise<Response>;
}

/** Bun, as far as it is used: what it was called with. */
function stubBun() {
  const stop = vi.fn(() => Promise.resolve());
  const started = vi.fn<(options: Passed) => object>(() => ({
    port: 4321,
    pendingRequests: 0,
    stop,
  }));
  vi.stubGlobal("Bun", { serve: started });
  return { started, stop };
}

const app = { fetch: (_: Request, env?: { readonly name?: string }) => new Response(env?.name ?? "nothing") };

test("a request may take longer than the 10 s after which Bun would hang up", async () => {
  const { started } = stubBun();
  const { close } = await serve(app, { ...fakeService().options, signals: [] });
  expect(started).toHaveBeenCalledWith(expect.objectContaining({ port: 3000, idleTimeout: 255 }));
  await close();
});

test("the user's options of Bun stand, but for the port, the address and the app", async () => {
  const { started } = stubBun();
  const serverOptions = { idleTimeout: 20, tls: { key: "k" }, port: 1, fetch: () => new Response("another") };
  const options = { ...fakeService().options, signals: [], port: 0, hostname: "127.0.0.1", serverOptions };
  const { close, port } = await serve(app, options);
  expect(port).toBe(4321);
  const passed = started.mock.calls[0]![0];
  expect(passed).toMatchObject({ idleTimeout: 20, tls: { key: "k" }, port: 0, hostname: "127.0.0.1" });
  const answer = await passed.fetch(new Request("http://127.0.0.1/"), { name: "the server" });
  expect(await answer.text()).toBe("the server");
  await close();
});

test("elsewhere than on Bun it says so", async () => {
  vi.stubGlobal("Bun", undefined);
  await expect(serve(app, fakeService().options)).rejects.toThrow(
    new TypeError(`Expected to run on Bun, found no "Bun".`),
  );
});
