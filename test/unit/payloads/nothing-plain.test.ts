import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { inspect } from "node:util";
import { Client } from "@upstash/qstash";
import { Hono } from "hono";
import { Redis } from "ioredis";
import { afterAll, describe, expect, test, vi } from "vitest";
import * as z from "zod/mini";
import { aftercommit, consoleObserver, FatalError, topic } from "aftercommit";
import type { AftercommitEnv, DeadLetter, Event, StandardSchema } from "aftercommit";
import { startDevServer } from "aftercommit/dev";
import { payloads } from "aftercommit/payloads";
import type { ClaimCheckOptions, EncryptionOptions } from "aftercommit/payloads";
import { qstash } from "aftercommit/qstash";
import { redisExecutor, redisPayloadStore, redisStore } from "aftercommit/redis";
import { nodeSqlite, schemaOf } from "aftercommit/sql";
import { keyOf, keysOf } from "../../support/payload-world.ts";
import { startRedisServer } from "../../support/redis-server.ts";

/**
 * Everything that any part of a service has ever kept, sent or said is looked through for what a message carried: with
 * encryption it is nowhere, and without it in every place, so that the search is known to find it.
 */

const SECRET = "Iban-CH9300762011623852957";
const noted = topic("note.made", z.record(z.string(), z.string()));
const forwarded = topic("note.forwarded", z.object({ text: z.string() }));
const TEXT = `${SECRET} `.repeat(20);
/** The names of fields are data too. */
const note = { text: TEXT, [SECRET]: "x" };

/** A schema that refuses everything, in these words. */
function refusing(words: (value: unknown) => string): StandardSchema {
  return {
    "~standard": { version: 1, vendor: "test", validate: (value) => ({ issues: [{ message: words(value) }] }) },
  };
}
const quoting = refusing((value) => `did not expect ${JSON.stringify(value)}`);

/** Ways in which a text may be written: as it is, in base64 at any offset, in hexadecimal, percent-encoded. */
function formsOf(text: string): readonly string[] {
  const forms = [text, Buffer.from(text).toString("hex"), encodeURIComponent(text)];
  for (let offset = 0; offset < 3; offset++) {
    const encoded = Buffer.from("x".repeat(offset) + text).toString("base64");
    // The letters at either end depend on what stands beside.
    forms.push(encoded.slice(4, -4), encoded.slice(4, -4).replaceAll("+", "-").replaceAll("/", "_"));
  }
  return forms;
}

const FORMS = formsOf(SECRET);
/** By its hash, whoever guesses what a message carried would know that the guess is right. */
const HASH = createHash("sha256").update(JSON.stringify(note)).digest("hex");

function isIn(text: string, forms: readonly string[] = FORMS): boolean {
  const lower = text.toLowerCase();
  return forms.some((form) => lower.includes(form.toLowerCase()));
}

// Without compression, so that DUMP shows what a key holds.
const server = await startRedisServer(["--rdbcompression", "no"]);
const redis = new Redis({ host: "127.0.0.1", port: server?.port ?? 0, lazyConnect: true });
afterAll(async () => {
  redis.disconnect();
  await server?.stop();
});

/** What was found, by place. */
type Places = Readonly<Record<string, string>>;

/** Sends notes through a whole service, lets some of them fail, and looks through all that is left of them. */
async function lookedThrough(how: {
  readonly encryption?: EncryptionOptions;
  readonly claimCheck?: Partial<ClaimCheckOptions>;
  /** The schema of a consumer that refuses them. */
  readonly schema?: StandardSchema;
}): Promise<Places> {
  await redis.flushall();
  const directory = await mkdtemp(join(tmpdir(), "nothing-plain-"));
  const connection = new DatabaseSync(join(directory, "main.sqlite"));
  connection.exec(`PRAGMA journal_mode = WAL; ${schemaOf("sqlite")}`);
  const said: string[] = [];
  const events: Event[] = [];
  const console_ = (["info", "warn", "error", "log"] as const).map((name) =>
    vi.spyOn(console, name).mockImplementation((...words: unknown[]) => void said.push(inspect(words))),
  );
  const commands: string[] = [];
  const executor = redisExecutor(redis);
  const recording = {
    execute(command: readonly string[]) {
      commands.push(command.join("\n"));
      return executor.execute(command);
    },
  };
  const travelled: string[] = [];
  const app = new Hono<AftercommitEnv>();
  const dev = await startDevServer({
    qstash: {
      fetch: async (input, init) => {
        const request = new Request(input, init);
        travelled.push(inspect([...request.headers]), await request.clone().text());
        const response = await app.request(request);
        travelled.push(inspect([...response.headers]), await response.clone().text());
        return response;
      },
    },
  });
  const observer = consoleObserver({ verbose: true });
  const ac = aftercommit({
    publicUrl: "http://127.0.0.1:3000",
    dev: true,
    log: redisStore(recording),
    databases: { main: nodeSqlite(connection) },
    transport: qstash({ client: new Client({ baseUrl: dev.qstash.url, token: dev.qstash.token }), ...dev.qstash }),
    routes: {
      [noted.name]: ["/consumers/forward", "/consumers/refuse", "/consumers/misread"],
      [forwarded.name]: ["/consumers/archive"],
    },
    payloads: payloads({
      encryption: how.encryption,
      claimCheck: how.claimCheck && { store: redisPayloadStore(recording), ...how.claimCheck },
    }),
    observer: {
      event(event) {
        events.push(event);
        observer.event(event);
      },
    },
    operations: { bearer: "an operator's token of enough length" },
  });
  app.use("/marked", ac.transaction());
  app.use("/barrier", ac.transaction({ database: "main" }));
  app.post("/marked", async (c) => {
    await c.var.tx.publish(noted, note, { retries: 0 });
    return c.json({}, c.req.header("fail") === "yes" ? 500 : 200);
  });
  app.post("/barrier", async (c) => {
    await c.var.tx.publish(noted, note, { on: "rollback", retries: 0 });
    await c.var.tx.publish(noted, note, { retries: 0 });
    if (c.req.header("fail") === "yes") return c.json({}, 500);
    await c.var.tx.run("main", async () => undefined);
    return c.json({});
  });
  const archived: unknown[] = [];
  app.post(
    "/consumers/forward",
    ac.consumer(noted, async (message) => {
      await message.tx.publish(forwarded, { text: message.data["text"]! });
    }),
  );
  app.post(
    "/consumers/refuse",
    ac.consumer(noted, () => {
      throw new FatalError("nobody of that name");
    }),
  );
  app.post(
    "/consumers/misread",
    ac.consumer(topic("note.made", how.schema ?? quoting), () => undefined),
  );
  app.post(
    "/consumers/archive",
    ac.consumer(forwarded, ({ data }) => void archived.push(data.text)),
  );
  app.route("/_aftercommit", ac.operations());

  try {
    for (const path of ["/marked", "/barrier"]) {
      for (const fail of ["no", "yes"]) await app.request(path, { method: "POST", headers: { fail } });
    }
    await ac.drain();
    // At `marked` what failed is not sent; at `barrier` it is what a rollback sends.
    await vi.waitFor(() => expect(archived).toEqual(Array(3).fill(TEXT)), { timeout: 20_000 });
    await dev.qstash.engine.idle();
    const deadLetters = async () => {
      const { log } = ac.operator();
      const items: DeadLetter[] = [];
      for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
        const page = await log.listDead(cursor === undefined ? {} : { cursor });
        items.push(...page.items);
        cursor = page.cursor;
      }
      return items;
    };
    await vi.waitFor(async () => expect(await deadLetters()).toHaveLength(6), { timeout: 20_000, interval: 50 });
    await ac.drain();
    const asked = async (path: string) => {
      const headers = { authorization: `Bearer ${dev.qstash.token}` };
      return (await fetch(`${dev.qstash.url}${path}`, { headers })).text();
    };
    const headers = { authorization: "Bearer an operator's token of enough length" };
    const files = await readdir(directory);
    const bytes = await Promise.all(files.map((name) => readFile(join(directory, name), "latin1")));
    return {
      "the commands that Redis was given": commands.join("\n"),
      "the keys of Redis": await dumped(),
      "the file of the database and its log": bytes.join("\n"),
      "QStash's deliveries and their answers": travelled.join("\n"),
      "QStash's events": await asked("/v2/events"),
      "QStash's dead letters": await asked("/v2/dlq"),
      "our dead letters": JSON.stringify(await deadLetters()),
      "the operator's list of them": await (await app.request("/_aftercommit/dead", { headers })).text(),
      "what was said of it": [...said, inspect(events, { depth: 9, maxStringLength: null, maxArrayLength: null })].join(
        "\n",
      ),
    };
  } finally {
    for (const spy of console_) spy.mockRestore();
    await dev.close();
    connection.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** What every key of Redis holds, and its name. */
async function dumped(): Promise<string> {
  const parts: string[] = [];
  for await (const keys of redis.scanStream() as AsyncIterable<string[]>) {
    for (const key of keys) parts.push(key, (await redis.dumpBuffer(key))?.toString("latin1") ?? "");
  }
  expect(parts.length).toBeGreaterThan(4);
  return parts.join("\n");
}

describe.skipIf(server === undefined)("what a message carries", () => {
  const placesWith = (places: Places, forms: readonly string[] = FORMS) =>
    Object.keys(places).filter((place) => isIn(places[place]!, forms));

  test("is nowhere with encryption, in whatever becomes of the message", { timeout: 60_000 }, async () => {
    expect(placesWith(await lookedThrough({ encryption: keysOf(1) }), [...FORMS, HASH])).toEqual([]);
  });

  test("is nowhere with encryption and a claim check, the payload store included", { timeout: 60_000 }, async () => {
    const places = await lookedThrough({ encryption: keysOf(1), claimCheck: { above: 100 } });
    expect(placesWith(places, [...FORMS, HASH])).toEqual([]);
  });

  test("is in every one of these places without, so that this search finds it", { timeout: 60_000 }, async () => {
    const places = await lookedThrough({});
    for (const [place, text] of Object.entries(places)) expect([place, isIn(text)]).toEqual([place, true]);
  });

  test("is with a claim check alone in the payload store, and its hash travels", { timeout: 60_000 }, async () => {
    const places = await lookedThrough({ claimCheck: { above: 100 }, schema: refusing(() => "not this") });
    expect(placesWith(places)).toEqual(["the commands that Redis was given", "the keys of Redis"]);
    expect(placesWith(places, [HASH])).toContain("QStash's dead letters");
  });
});

test("a search that is handed any form of it finds it", () => {
  for (const form of formsOf(SECRET)) expect(isIn(`before ${form} after`)).toBe(true);
  expect(isIn(keyOf(1))).toBe(false);
});
