import { Hono } from "hono";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { aftercommit, ConfigurationError } from "aftercommit";
import type { AftercommitOptions, ConfigurationProblem, RecoveryOptions } from "aftercommit";
import { memoryStore, memoryTransport } from "aftercommit/memory";
import { orderPaid, PUBLIC_URL, world } from "../../support/world.ts";

/** The problems of a configuration; none where it starts. */
function problemsOf(make: () => unknown): readonly ConfigurationProblem[] {
  try {
    make();
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
}

const started = (overrides: Partial<AftercommitOptions>) => problemsOf(() => aftercommit(world().options(overrides)));
const pathsOf = (overrides: Partial<AftercommitOptions>) => started(overrides).map(({ path }) => path);

afterEach(() => vi.unstubAllEnvs());

describe("a configuration", () => {
  test("that is right starts", () => {
    expect(started({})).toEqual([]);
  });

  test("tells everything that is wrong at once, each with what to do", () => {
    const problems = started({
      publicUrl: "http://shop.example.com",
      log: undefined,
      transport: undefined,
      routes: { a: "/a", b: "http://b.example.com" },
      recovery: { deadline: "soon", checkAttempts: 0 },
      consumers: { lease: "1s" },
      operations: { bearer: "short" },
      maxMessageBytes: 1,
    });
    expect(problems.map(({ path }) => path).sort()).toEqual(
      [
        "publicUrl",
        "log",
        "transport",
        'routes["a"][0]',
        'routes["b"][0]',
        "recovery.deadline",
        "recovery.checkAttempts",
        "consumers.lease",
        "operations.bearer",
        "maxMessageBytes",
      ].sort(),
    );
    for (const problem of problems) {
      for (const field of ["expected", "found", "remedy"] as const) expect(problem[field]).not.toBe("");
    }
    const { message, code } = new ConfigurationError(problems);
    expect(code).toBe("ERR_CONFIGURATION");
    for (const { path, remedy } of problems) {
      expect(message).toContain(path);
      expect(message).toContain(remedy);
    }
  });

  const arithmetic: [name: string, Partial<AftercommitOptions>, string][] = [
    ["an inbox that forgets before a redrive", { consumers: { retention: "31d" } }, "consumers.retention"],
    [
      "decisions that are gone before a late copy",
      { recovery: { decisionRetention: "31d" } },
      "recovery.decisionRetention",
    ],
    ["a lease shorter than three renewals", { consumers: { lease: "29s" } }, "consumers.lease"],
    ["renewals too rare for the lease", { consumers: { renewEvery: "11s" } }, "consumers.lease"],
    ["a deadline within the longest request", { recovery: { deadline: "1m" } }, "recovery.deadline"],
    ["a longest request beyond the deadline", { recovery: { longestRequest: "2m" } }, "recovery.deadline"],
  ];
  for (const [name, overrides, path] of arithmetic) {
    test(`refuses ${name}`, () => {
      expect(pathsOf(overrides)).toEqual([path]);
    });
  }

  test("takes what just suffices", () => {
    expect(
      pathsOf({
        consumers: { retention: "3d", lease: "3s", renewEvery: "1s" },
        recovery: {
          retryHorizon: "1d",
          redriveWithin: "2d",
          decisionRetention: "3d",
          longestRequest: "30s",
          deadline: 30_001,
        },
      }),
    ).toEqual([]);
  });

  const durations: (keyof RecoveryOptions)[] = [
    "deadline",
    "longestRequest",
    "watchdog",
    "checkSpacing",
    "confirmAfter",
    "sweepLease",
    "retryHorizon",
    "redriveWithin",
    "decisionRetention",
    "auditEvery",
  ];
  for (const name of durations) {
    test(`refuses a recovery.${name} that is no duration`, () => {
      for (const value of ["", "0s", "5", "-1s", "1 m", 0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
        expect(pathsOf({ recovery: { [name]: value } }), String(value)).toContain(`recovery.${name}`);
      }
    });
  }

  test("refuses numbers that are out of range", () => {
    for (const value of [0, 1.5, 256, Number.NaN]) {
      expect(pathsOf({ recovery: { checkAttempts: value } })).toEqual(["recovery.checkAttempts"]);
    }
    expect(pathsOf({ consumers: { bodyLimit: 0 }, maxMessageBytes: 1e9 }).sort()).toEqual([
      "consumers.bodyLimit",
      "maxMessageBytes",
    ]);
  });

  test("refuses a source that its own consumers would refuse", () => {
    for (const source of ["", "x".repeat(2_049)]) expect(pathsOf({ source })).toEqual(["source"]);
  });

  test("refuses an operator's path that would lead to another host", () => {
    for (const path of [
      "ops",
      ".evil.example.net",
      "",
      "//evil.example.net",
      "/a/../b",
      "/a?b",
      "/a#b",
      "https://x.y/",
    ]) {
      expect(pathsOf({ operations: { path } }), path).toEqual(["operations.path"]);
    }
    for (const path of ["/", "/ops", "/ops/", "/a/b"]) expect(pathsOf({ operations: { path } }), path).toEqual([]);
  });

  test("refuses a bearer token that could be guessed", () => {
    for (const bearer of ["", "x".repeat(31)])
      expect(pathsOf({ operations: { bearer } })).toEqual(["operations.bearer"]);
    expect(pathsOf({ operations: { bearer: "x".repeat(32) } })).toEqual([]);
  });

  test("refuses a watchdog that nobody could call or verify", () => {
    const { wake: _wake, ...without } = memoryTransport();
    expect(pathsOf({ recovery: { watchdog: "2m" }, publicUrl: undefined, routes: {} })).toEqual(["recovery.watchdog"]);
    expect(pathsOf({ recovery: { watchdog: "2m" }, transport: without })).toEqual([
      "recovery.watchdog",
      "recovery.watchdog",
    ]);
  });

  test("hands on what its transport and its receiver find wrong", () => {
    const problem = { path: "x", expected: "a", found: "b", remedy: "c" };
    const transport = { ...memoryTransport(), problems: () => [problem] };
    const receiver = { ...world().receiver, problems: () => [{ ...problem, path: "y" }] };
    expect(pathsOf({ transport, receiver })).toEqual(["x", "y"]);
  });
});

describe("a service", () => {
  test("that only produces starts with a log, a transport and absolute destinations", async () => {
    const w = world();
    const ac = aftercommit({
      log: w.store,
      transport: memoryTransport(),
      routes: { [orderPaid.name]: "https://stock.example.net/consumers/stock" },
      observer: { event: () => undefined },
    });
    const app = new Hono<{ Variables: { tx: import("aftercommit").Transaction } }>();
    app.post("/", ac.transaction(), async (c) => {
      await c.var.tx.publish(orderPaid, { orderId: "1" });
      return c.text("ok");
    });
    expect((await app.request("/", { method: "POST" })).status).toBe(200);
    await ac.drain();
  });

  test("that produces without a log or a transport is refused when its middleware is made", () => {
    const ac = aftercommit({ publicUrl: PUBLIC_URL });
    expect(problemsOf(() => ac.transaction()).map(({ path }) => path)).toEqual(["log", "transport"]);
  });

  test("that only consumes starts with its URL, a receiver and an inbox", async () => {
    const w = world();
    for (const inbox of [w.store, w.store.inbox]) {
      const ac = aftercommit({
        publicUrl: PUBLIC_URL,
        receiver: w.receiver,
        inbox,
        observer: { event: () => undefined },
      });
      const app = new Hono();
      app.post(
        "/c",
        ac.consumer(orderPaid, () => "done"),
      );
      expect((await app.request("/c", { method: "POST" })).status).toBe(401);
    }
  });

  test("that consumes without them is refused when its consumer is made", () => {
    const ac = aftercommit({});
    expect(problemsOf(() => ac.consumer(orderPaid, () => "done")).map(({ path }) => path)).toEqual([
      "publicUrl",
      "receiver",
      "inbox",
    ]);
  });

  test("whose route names a check that is not there is refused when the middleware is made", () => {
    const ac = aftercommit(world().options({ checks: { order: () => "unknown" } }));
    expect(problemsOf(() => ac.transaction({ check: "order" }))).toEqual([]);
    for (const check of ["payment", "constructor", "toString", ""]) {
      expect(
        problemsOf(() => ac.transaction({ check })).map(({ path }) => path),
        check,
      ).toContain(`checks.${check}`);
    }
  });
});

test("a service whose consumers would refuse its own largest message is refused", () => {
  const start = (overrides: Partial<AftercommitOptions>, parts: readonly ("producer" | "consumer")[]) =>
    problemsOf(() => {
      const ac = aftercommit(world().options(overrides));
      if (parts.includes("producer")) ac.transaction();
      if (parts.includes("consumer")) ac.consumer(orderPaid, () => "done");
    }).map(({ path }) => path);
  const large = { maxMessageBytes: 1_048_576 };
  expect(start({}, ["producer", "consumer"])).toEqual([]);
  expect(start(large, ["producer", "consumer"])).toEqual(["consumers.bodyLimit"]);
  expect(start({ ...large, consumers: { bodyLimit: 1_048_640 } }, ["producer", "consumer"])).toEqual([]);
  expect(start(large, ["producer"])).toEqual([]);
  expect(start(large, ["consumer"])).toEqual([]);
});

describe("publicUrl", () => {
  const refused = [
    "",
    "shop.example.com",
    "/shop",
    "http://shop.example.com",
    "http://localhost:3000",
    "ftp://shop.example.com",
    "https://shop.example.com/?a=b",
    "https://shop.example.com/#a",
    "https://user@shop.example.com",
    "https://user:secret@shop.example.com",
    "https://",
  ];
  for (const publicUrl of refused) {
    test(`is not ${JSON.stringify(publicUrl)}`, () => {
      expect(pathsOf({ publicUrl, routes: {} })).toEqual(["publicUrl"]);
    });
  }

  test("may have a base path, under which everything else lies", async () => {
    for (const publicUrl of ["https://example.com/shop", "https://example.com/shop/"]) {
      for (const path of ["/ops", "/ops/"]) {
        const w = world();
        const { ac, app } = w.service({ publicUrl, operations: { path }, recovery: { watchdog: "2m" } });
        app.post("/", ac.transaction(), async (c) => {
          await c.var.tx.publish(orderPaid, { orderId: "1" });
          return c.text("ok");
        });
        await app.request("/", { method: "POST" });
        await ac.drain();
        const [dispatch] = w.transport.accepted;
        expect(dispatch!.record.destination).toBe("https://example.com/shop/consumers/receipt");
        expect(dispatch!.failureUrl).toBe("https://example.com/shop/ops/failed");
        expect(w.transport.wakes[0]!.url).toBe("https://example.com/shop/ops/watchdog");
      }
    }
  });
});

describe("dev", () => {
  test("allows http on this machine, and loopback destinations", () => {
    for (const publicUrl of [
      "http://localhost:3000",
      "http://127.0.0.1:3000",
      "http://[::1]:3000",
      "https://localhost",
    ]) {
      expect(pathsOf({ dev: true, publicUrl, routes: { a: ["/a", "http://localhost:9/b"] } }), publicUrl).toEqual([]);
    }
  });

  test("needs a publicUrl on this machine", () => {
    for (const publicUrl of [
      "https://shop.example.com",
      "https://127.0.0.1.example.com",
      "https://localhost.example.com",
    ]) {
      expect(pathsOf({ dev: true, publicUrl })).toEqual(["dev"]);
    }
    expect(pathsOf({ dev: true, publicUrl: undefined, routes: {} })).toEqual(["dev"]);
    expect(pathsOf({ dev: true, publicUrl: "http://10.0.0.1", routes: {} }).sort()).toEqual(["dev", "publicUrl"]);
  });

  test("does not allow other machines over http", () => {
    const routes = { a: ["http://10.0.0.1/a", "http://shop.example.com/b", "http://shop.internal/c"] };
    expect(pathsOf({ dev: true, publicUrl: "http://localhost:3000", routes })).toHaveLength(3);
  });
});

describe("QSTASH_DEV", () => {
  const fresh = (env: unknown, overrides: Partial<AftercommitOptions> = {}) =>
    problemsOf(() => aftercommit(() => world().options(overrides)).operator(env)).map(({ path }) => path);
  const local = { dev: true, publicUrl: "http://localhost:3000" };

  test("in the process's environment is fatal, unless in dev", () => {
    vi.stubEnv("QSTASH_DEV", "true");
    expect(pathsOf({})).toEqual(["QSTASH_DEV"]);
    expect(pathsOf(local)).toEqual([]);
  });

  test("in the bindings is fatal, unless in dev", () => {
    expect(fresh({ QSTASH_DEV: "true" })).toEqual(["QSTASH_DEV"]);
    expect(fresh({ QSTASH_DEV: "1" })).toEqual(["QSTASH_DEV"]);
    expect(fresh({ QSTASH_DEV: "true" }, local)).toEqual([]);
    for (const value of [undefined, "", "false"]) expect(fresh({ QSTASH_DEV: value })).toEqual([]);
  });

  test("that may not be read is taken as not set", () => {
    const env = process.env;
    const denied = new Proxy(
      {},
      {
        get() {
          throw new Error("Requires env access");
        },
      },
    );
    Object.defineProperty(process, "env", { value: denied, configurable: true, writable: true });
    try {
      expect(problemsOf(() => aftercommit(world().options()))).toEqual([]);
    } finally {
      Object.defineProperty(process, "env", { value: env, configurable: true, writable: true });
    }
  });
});

describe("an environment", () => {
  test("is asked for lazily, and once each", async () => {
    const w = world();
    const make = vi.fn((_env: object) => w.options());
    const ac = aftercommit<object>(make);
    const app = new Hono();
    app.use("*", ac.transaction());
    app.get("/", (c) => c.text("ok"));
    app.route("/_aftercommit", ac.operations());
    expect(make).not.toHaveBeenCalled();
    const [first, second] = [{ name: "first" }, { name: "second" }];
    for (const env of [first, first, second, first, second]) await app.request("/", {}, env);
    expect(make.mock.calls).toEqual([[first], [second]]);
    ac.operator(first);
    expect(make).toHaveBeenCalledTimes(2);
  });

  test.each([
    ["Node's server", () => ({ incoming: {}, outgoing: {} })],
    ["Deno's server", () => ({ remoteAddr: {}, completed: Promise.resolve() })],
    ["nothing", () => ({})],
  ])("is the process's own, once, where %s passes another object with each request", async (_name, passed) => {
    const w = world();
    const make = vi.fn((_env: object) => w.options());
    const ac = aftercommit<object>(make);
    const app = new Hono();
    app.use("*", ac.transaction());
    app.get("/", (c) => c.text("ok"));
    for (let i = 0; i < 3; i++) await app.request("/", {}, passed());
    expect(make.mock.calls).toEqual([[process.env]]);
  });

  test("that is wrong answers 500, tells the log what is wrong, and is asked again", async () => {
    const told = vi.spyOn(console, "error").mockImplementation(() => undefined);
    onTestFinished(() => told.mockRestore());
    const w = world();
    const make = vi.fn(() => w.options({ publicUrl: "nowhere" }));
    const ac = aftercommit(make);
    const app = new Hono();
    app.use("*", ac.transaction());
    app.get("/", (c) => c.text("ok"));
    const env = {};
    const response = await app.request("/", {}, env);
    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({ error: { code: "ERR_CONFIGURATION" } });
    await app.request("/", {}, env);
    expect(make).toHaveBeenCalledTimes(2);
    expect(String(told.mock.calls[0]![0])).toContain("publicUrl: expected an absolute https URL");
  });

  test("keeps the checks and names of all that was mounted before", () => {
    const ac = aftercommit<object>(() => world().options());
    ac.transaction({ check: "order" });
    expect(problemsOf(() => ac.operator({})).map(({ path }) => path)).toEqual(["checks.order"]);
  });

  test("is given to a cron trigger, which waits for the sweep", async () => {
    const w = world();
    const ac = aftercommit<object>(() => w.options());
    const waited: Promise<unknown>[] = [];
    await ac.scheduled({}, {}, { waitUntil: (promise) => void waited.push(promise) });
    expect(waited).toHaveLength(1);
    expect(w.of("swept")).toHaveLength(1);
  });
});

describe("a destination", () => {
  const hosts = [
    "127.0.0.1",
    "10.0.0.1",
    "169.254.169.254",
    "8.8.8.8",
    "0.0.0.0",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "１２７.０.０.１",
    "%31%32%37.0.0.1",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[fd00::1]",
    "[64:ff9b::7f00:1]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "a.localhost.",
    "metadata.google.internal",
    "metadata.google.internal.",
    "printer.local",
    "a.localdomain",
    "router.home.arpa",
    "intranet",
    "intranet.",
    "ｌｏｃａｌｈｏｓｔ",
  ];
  const urls = [
    ...hosts.map((host) => `https://${host}/x`),
    "",
    " ",
    "consumers/receipt",
    "//evil.example.net/x",
    "/\\evil.example.net/x",
    "http://stock.example.net/x",
    "ftp://stock.example.net/x",
    "javascript:alert(1)",
    "data:text/plain,x",
    "https://",
    "https://user@stock.example.net/",
    "https://user:secret@stock.example.net/",
    "https://stock.example.net:8443/",
    "https://stock.example.net:80/",
    "https://stock.example.net/#fragment",
    "https://stock.example.net/a b",
    "https://stock.example.net/a\tb",
    "https://stock.example.net/a\nb",
    "https://stock.example.net/a\0b",
    "https://stock.example.net/a\u007fb",
    "https://stock.example.net/a\u00a0b",
    "https://stock.example.net\\@evil.example.net/",
    "https://stock.example.net/../schedules/x",
    "https://stock.example.net/a/..",
    "https://stock.example.net/./x",
    "https://stock.example.net/%2e%2e/x",
    "https://stock.example.net/%2E./x",
    "/../x",
    "/a/%2e%2e/x",
    "/a#b",
    "..",
  ];
  for (const url of urls) {
    test(`is not ${JSON.stringify(url)}`, () => {
      expect(pathsOf({ routes: { a: ["/ok", url] } })).toEqual(['routes["a"][1]']);
    });
  }

  test("is a path of this service, or an absolute https URL, in one normal form", async () => {
    const cases: [given: string, sent: string][] = [
      ["/x", "https://shop.example.com/x"],
      ["/x?tenant=a", "https://shop.example.com/x?tenant=a"],
      ["/@evil.example.net/x", "https://shop.example.com/@evil.example.net/x"],
      ["https://Stock.Example.net", "https://stock.example.net/"],
      ["https://stock.example.net:443/x?a=..%2f", "https://stock.example.net/x?a=..%2f"],
      ["https://stock.example.net/a..b/.well-known", "https://stock.example.net/a..b/.well-known"],
      ["https://büro.example.net/", "https://xn--bro-hoa.example.net/"],
    ];
    for (const [given, sent] of cases) {
      const w = world();
      const { ac, app } = w.service({ routes: { [orderPaid.name]: given } });
      app.post("/", ac.transaction(), async (c) => {
        await c.var.tx.publish(orderPaid, { orderId: "1" });
        return c.text("ok");
      });
      await app.request("/", { method: "POST" });
      await ac.drain();
      expect(w.transport.accepted.map(({ record }) => record.destination)).toEqual([sent]);
    }
  });

  test("is listed once for a topic, however it is written", () => {
    expect(pathsOf({ routes: { a: ["/x", `${PUBLIC_URL}/x`] } })).toEqual(['routes["a"][1]']);
    expect(pathsOf({ routes: { a: ["https://a.example.net", "https://A.example.net:443/"] } })).toEqual([
      'routes["a"][1]',
    ]);
  });

  test("as a path needs a publicUrl", () => {
    expect(pathsOf({ publicUrl: undefined, routes: { a: "/x" } })).toEqual(['routes["a"][0]']);
  });
});

test("the store of an inbox serves the shared log's deliveries where it is the producer's", () => {
  const w = world();
  const store = memoryStore({ clock: w.clock });
  const ac = aftercommit({
    publicUrl: PUBLIC_URL,
    receiver: w.receiver,
    inbox: store,
    observer: { event: () => undefined },
  });
  expect(() => ac.operator()).not.toThrow();
});
