import { createContext, Script } from "node:vm";
import { describe, expect, test } from "vitest";
import { bundle } from "./bundle.ts";
import { entries } from "./manifest.ts";

/** The entries that run on Workers and on Deno Deploy, and the packages that each of them imports. */
const edge = {
  ".": ["hono"],
  "./qstash": [],
  "./upstash-redis": [],
  "./redis": [],
  "./memory": [],
  "./sql": [],
  "./idempotency": ["hono/route"],
  "./patterns": ["hono"],
  "./payloads": [],
  "./redis-streams": [],
  "./cloudflare": [],
  "./cloudflare-queues": [],
  "./deno": [],
} as const;

/** What no program of the edge may do while it loads: Workers refuse it, or have nothing there yet. */
const FORBIDDEN_AT_LOAD = ["process", "Deno", "Bun", "navigator", "crypto", "fetch", "setTimeout", "setInterval"];

describe.each(Object.entries(edge))("the entry %s", (subpath, packages) => {
  const source = entries.get(subpath)!["aftercommit-source"];

  test("imports no package but its own peer", async () => {
    expect((await bundle([source])).externals).toEqual(packages);
  });

  test("holds nothing of Node", async () => {
    const { code } = await bundle([source]);
    const guarded = code.replaceAll("globalThis.process?.env", "");
    for (const forbidden of [/["'`]node:/, /\bBuffer\b/, /\bprocess\s*[.?[]/, /\brequire\s*\(/, /\b__dirname\b/]) {
      expect(guarded).not.toMatch(forbidden);
    }
  });

  test("does nothing when it is imported: no timer, no request, no randomness, no environment", async () => {
    const { code } = await bundle([source], { format: "iife", inline: ["hono"] });
    const touched: string[] = [];
    const { TextDecoder, TextEncoder, URL, URLSearchParams, Headers, Request, Response, AbortController } = globalThis;
    const world = { TextDecoder, TextEncoder, URL, URLSearchParams, Headers, Request, Response, AbortController };
    for (const name of FORBIDDEN_AT_LOAD) {
      Object.defineProperty(world, name, {
        get: () => {
          touched.push(name);
          return undefined;
        },
      });
    }
    new Script(code).runInContext(createContext(world));
    expect(touched).toEqual([]);
  });
});
