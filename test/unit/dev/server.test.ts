import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { fileURLToPath } from "node:url";
import { Client, Receiver } from "@upstash/qstash";
import { Redis } from "@upstash/redis";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { DEV_CREDENTIALS, type DevServer, type DevServerOptions, startDevServer } from "../../../adapters/dev/index.ts";
import { findFreePort, startRedisServer } from "../../support/redis-server.ts";
import { startDestination } from "./qstash-harness.ts";

async function start(options?: DevServerOptions): Promise<DevServer> {
  const server = await startDevServer(options);
  onTestFinished(() => server.close());
  return server;
}

/** A request with headers that `fetch` does not let a program set. */
function rawRequest(
  url: string,
  headers: Record<string, string>,
  method = "GET",
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers, setHost: false }, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => (body += chunk.toString()));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    });
    request.on("error", reject);
    request.end();
  });
}

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(console, "warn").mockImplementation(() => {});
  vi.spyOn(console, "log").mockImplementation(() => {});
});

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

test("a started server delivers what the SDK publishes, signed with its keys", async () => {
  const { qstash } = await start();
  const { url, received } = await startDestination();
  const client = new Client({ baseUrl: qstash.url, token: qstash.token });
  await client.publishJSON({ url, body: { a: 1 } });
  await qstash.engine.idle();
  const signature = String(received[0]?.headers["upstash-signature"]);
  expect(await new Receiver(qstash).verify({ signature, body: '{"a":1}', url })).toBe(true);
});

test("the Redis SDK talks to the embedded engine", async () => {
  const { redis } = await start();
  const client = new Redis({ url: redis.url, token: redis.token, enableTelemetry: false });
  await client.set("greeting", { hello: "wörld" });
  expect(await client.get("greeting")).toEqual({ hello: "wörld" });
  expect(redis.engine?.execute(["EXISTS", "greeting"])).toBe(1);
});

test("a real Redis server can stand behind the REST API", async ({ skip }) => {
  const server = (await startRedisServer()) ?? skip("redis-server is not installed");
  onTestFinished(() => server.stop());
  const { redis } = await start({ redis: { host: "127.0.0.1", port: server.port }, redisToken: "given" });
  expect(redis).toMatchObject({ token: "given", engine: undefined });
  const client = new Redis({ url: redis.url, token: "given", enableTelemetry: false });
  await client.set("n", 7);
  expect(await client.incr("n")).toBe(8);
  expect(await redis.backend.execute(["GET", "n"])).toBe("8");
});

test("a start in front of a Redis server that is not there fails at once", async () => {
  const port = await findFreePort();
  await expect(start({ redis: { host: "127.0.0.1", port } })).rejects.toThrow(/ECONNREFUSED/);
});

test("tokens and signing keys differ from start to start", async () => {
  const [a, b] = [await start(), await start()];
  expect(a.qstash.token).not.toBe(b.qstash.token);
  expect(a.qstash.currentSigningKey).not.toBe(b.qstash.currentSigningKey);
  expect(a.redis.token).not.toBe(b.redis.token);
});

test("the SDK's development mode adopts a server with the public credentials", async () => {
  const { qstash } = await start({ qstash: { devDefaults: true } });
  expect(qstash).toMatchObject(DEV_CREDENTIALS);
  vi.stubEnv("QSTASH_DEV_PORT", new URL(qstash.url).port);
  const { url, received } = await startDestination();
  await new Client({ devMode: true }).publish({ url, body: "hi" });
  await qstash.engine.idle();
  const signature = String(received[0]?.headers["upstash-signature"]);
  expect(await new Receiver({ devMode: true }).verify({ signature, body: "hi", url })).toBe(true);
});

test("QSTASH_DEV=true in the environment is enough for the SDK", async () => {
  const { qstash } = await start({ qstash: { devDefaults: true } });
  vi.stubEnv("QSTASH_DEV", "true");
  vi.stubEnv("QSTASH_DEV_PORT", new URL(qstash.url).port);
  const { url, received } = await startDestination();
  await new Client().publish({ url });
  await qstash.engine.idle();
  expect(received).toHaveLength(1);
});

test("with NODE_ENV=production it refuses to start and says what to do", async () => {
  vi.stubEnv("NODE_ENV", "production");
  await expect(startDevServer()).rejects.toMatchObject({
    code: "ERR_CONFIGURATION",
    message: expect.stringContaining("use QStash and Upstash Redis in production"),
  });
});

test("closing cuts kept-alive connections, and the port is free again", async () => {
  const server = await startDevServer();
  const { url, token } = server.qstash;
  const headers = { authorization: `Bearer ${token}` };
  expect((await fetch(`${url}/v2/keys`, { headers })).status).toBe(200);
  await server.close();
  await expect(fetch(`${url}/v2/keys`, { headers })).rejects.toThrow("fetch failed");
  const again = await start({ port: Number(new URL(url).port) });
  expect(again.qstash.url).toBe(url);
});

test("a port that is taken is an error, and leaves nothing running", async () => {
  const { qstash } = await start();
  await expect(startDevServer({ port: Number(new URL(qstash.url).port) })).rejects.toMatchObject({
    code: "EADDRINUSE",
  });
});

describe.each(["qstash", "redis"] as const)("the %s listener", (part) => {
  const probe = async (headers: Record<string, string>, method?: string): Promise<number> => {
    const { [part]: target } = await start();
    const port = new URL(target.url).port;
    const path = part === "qstash" ? "/v2/keys" : "/ping";
    const filled = Object.entries(headers).map(([name, value]) => [name, value.replace("PORT", port)]);
    const all = { host: `127.0.0.1:${port}`, authorization: `Bearer ${target.token}`, ...Object.fromEntries(filled) };
    return (await rawRequest(`${target.url}${path}`, all, method)).status;
  };

  test.each(["127.0.0.1:PORT", "localhost:PORT", "LOCALHOST:PORT", "[::1]:PORT"])(
    "answers to the host %s",
    async (host) => {
      expect(await probe({ host })).toBe(200);
    },
  );

  test.each(["evil.example:PORT", "127.0.0.1:1", "127.0.0.1", "localhost.evil.example:PORT", ""])(
    'refuses the host "%s"',
    async (host) => {
      expect(await probe({ host })).toBe(403);
    },
  );

  test.each(["https://evil.example", "null", "http://localhost:1", "https://127.0.0.1:PORT"])(
    "refuses the origin %s",
    async (origin) => {
      expect(await probe({ origin })).toBe(403);
    },
  );

  test("answers to its own origin", async () => {
    expect(await probe({ origin: "http://127.0.0.1:PORT" })).toBe(200);
  });

  test("refuses what a browser marks as cross-site", async () => {
    expect(await probe({ "sec-fetch-site": "cross-site" })).toBe(403);
  });

  test("refuses a preflight and sends no CORS headers", async () => {
    expect(await probe({ origin: "https://evil.example", "access-control-request-method": "POST" }, "OPTIONS")).toBe(
      403,
    );
    const { [part]: target } = await start();
    const response = await fetch(`${target.url}/`, { headers: { authorization: `Bearer ${target.token}` } });
    expect([...response.headers.keys()].filter((name) => name.startsWith("access-control-"))).toEqual([]);
  });

  test("refuses a wrong token with 401", async () => {
    expect(await probe({ authorization: "Bearer wrong" })).toBe(401);
  });
});

describe("the command line", () => {
  const main = fileURLToPath(new URL("../../../adapters/dev/main.ts", import.meta.url));

  const run = (...flags: string[]): ChildProcess => {
    const child = spawn(process.execPath, [main, ...flags], { stdio: "pipe" });
    onTestFinished(() => void child.kill("SIGKILL"));
    return child;
  };

  /** What the process prints up to the first match. */
  const printed = async (stream: ChildProcess["stdout"], match: RegExp): Promise<string> => {
    let text = "";
    for await (const chunk of stream ?? []) {
      text += String(chunk);
      if (match.test(text)) break;
    }
    return text;
  };

  test("prints one line of JSON, serves, and ends cleanly on SIGTERM", async () => {
    const child = run("--port", "0", "--redis-port", "0", "--time-factor", "0.01", "--duplicate-rate", "0.5", "--json");
    const { qstash, redis } = JSON.parse(await printed(child.stdout, /\n/));
    const keys = await fetch(`${qstash.url}/v2/keys`, { headers: { authorization: `Bearer ${qstash.token}` } });
    expect(await keys.json()).toEqual({ current: qstash.currentSigningKey, next: qstash.nextSigningKey });
    const pong = await fetch(`${redis.url}/ping`, { headers: { authorization: `Bearer ${redis.token}` } });
    expect(await pong.json()).toEqual({ result: "PONG" });
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([0, null]);
  });

  test("prints the environment variables that the SDKs read", async () => {
    const child = run("--port", "0", "--redis-port", "0", "--dev-defaults");
    const names = (await printed(child.stdout, /REST_TOKEN=.*\n/)).split("\n").map((line) => line.split("=")[0]);
    expect(names).toEqual([
      "QSTASH_URL",
      "QSTASH_TOKEN",
      "QSTASH_CURRENT_SIGNING_KEY",
      "QSTASH_NEXT_SIGNING_KEY",
      "UPSTASH_REDIS_REST_URL",
      "UPSTASH_REDIS_REST_TOKEN",
      "",
    ]);
  });

  test.each([
    [["--speed", "9"], "Unknown option '--speed'"],
    [["--port", "http"], '--port: expected a port from 0 to 65535, found "http"'],
    [["--duplicate-rate", "2"], "--duplicate-rate: expected a number from 0 to 1"],
    [["--redis", "nowhere"], "--redis: expected HOST:PORT"],
  ])("refuses %j and says why", async (flags, reason) => {
    const child = run(...flags);
    const [text, [status]] = await Promise.all([printed(child.stderr, /--help/), once(child, "exit")]);
    expect(text).toContain(reason);
    expect(text).toContain("usage:");
    expect(status).toBe(2);
  });
});
