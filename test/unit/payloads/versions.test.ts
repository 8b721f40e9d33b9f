import * as z from "zod/mini";
import { describe, expect, test } from "vitest";
import { ConfigurationError, nextVersion, topic } from "aftercommit";
import type { Topic } from "aftercommit";
import { world } from "../../support/world.ts";
import type { App, World } from "../../support/world.ts";

const v1 = topic("parcel.sent", z.object({ id: z.string(), euros: z.number() }), { retries: 5 });
const v2 = nextVersion(v1, z.object({ id: z.string(), cents: z.int() }), ({ id, euros }) => ({
  id,
  cents: Math.round(euros * 100),
}));
const v3 = nextVersion(
  v2,
  z.object({ id: z.string(), cents: z.int(), currency: z.string() }),
  async ({ id, cents }) => ({ id, cents, currency: "EUR" }),
);

const routes = { "parcel.sent": "/consumers/parcel" };

/** Publishes one message with a version of the topic; the app is a service of its own. */
async function published<Input>(
  at: World,
  version: Topic<Input, unknown>,
  data: Input,
): Promise<Record<string, unknown>> {
  const { ac, app } = at.service({ routes });
  app.post("/send", ac.transaction(), async (c) => {
    await c.var.tx.publish(version, data);
    return c.json({});
  });
  expect((await app.request("/send", { method: "POST" })).status).toBe(200);
  await ac.drain();
  return JSON.parse(at.transport.accepted.at(-1)!.body) as Record<string, unknown>;
}

/** A release whose consumer knows the topic up to a version; what it was given is in `seen`. */
function release<Input, Data>(at: World, version: Topic<Input, Data>, seen: Data[] = []): App {
  const { ac, app } = at.service({ routes });
  app.post(
    "/consumers/parcel",
    ac.consumer(version, ({ data }) => void seen.push(data), { name: "parcel" }),
  );
  return app;
}

const reasonOf = (answer: string) => (JSON.parse(answer) as { error: { reason: string } }).error.reason;

describe("a producer", () => {
  test("writes the version of its topic into the envelope, and none for the first", async () => {
    const at = world();
    expect(await published(at, v1, { id: "a", euros: 1 })).not.toHaveProperty("dataversion");
    expect(await published(at, v2, { id: "a", cents: 1 })).toMatchObject({ dataversion: 2 });
    expect(await published(at, v3, { id: "a", cents: 1, currency: "CHF" })).toMatchObject({
      dataversion: 3,
      type: "parcel.sent",
      data: { id: "a", cents: 1, currency: "CHF" },
    });
  });
});

describe("a consumer", () => {
  test("is given the data of every earlier version as its own version has them", async () => {
    const at = world();
    await published(at, v1, { id: "a", euros: 1.5 });
    await published(at, v2, { id: "b", cents: 7 });
    await published(at, v3, { id: "c", cents: 8, currency: "CHF" });
    const seen: { id: string; cents: number; currency: string }[] = [];
    const delivered = await at.deliver(release(at, v3, seen));
    expect(delivered.map(({ statuses }) => statuses)).toEqual([[200], [200], [200]]);
    expect(seen).toEqual([
      { id: "a", cents: 150, currency: "EUR" },
      { id: "b", cents: 7, currency: "EUR" },
      { id: "c", cents: 8, currency: "CHF" },
    ]);
  });

  test("gives an upcast what the schema of its version has made of the data", async () => {
    const at = world();
    const loose = topic("parcel.sent", z.object({ euros: z._default(z.number(), 3) }));
    const strict = nextVersion(loose, z.object({ cents: z.number() }), ({ euros }) => ({ cents: euros * 100 }));
    await published(at, loose, {});
    const seen: unknown[] = [];
    await at.deliver(release(at, strict, seen));
    expect(seen).toEqual([{ cents: 300 }]);
  });

  test("leaves a newer version for the release that knows it, and is not done with it", async () => {
    const at = world();
    await published(at, v3, { id: "a", cents: 1, currency: "CHF" });
    const dispatch = at.transport.take()[0]!;
    const { destination, meta } = dispatch.record;
    const old = await at.post(release(at, v2), destination, dispatch.body, { meta });
    expect(old.status).toBe(503);
    expect(old.headers.get("retry-after")).toBe("60");
    expect(reasonOf(await old.text())).toBe("expected version 2 or earlier, found 3");
    expect(at.of("consumeFailed")).toMatchObject([{ fatal: false }]);
    const seen: unknown[] = [];
    const fresh = await at.post(release(at, v3, seen), destination, dispatch.body, { meta, attempt: 2 });
    expect(fresh.status, "the lease of the run that could not read it has ended").toBe(200);
    expect(seen).toHaveLength(1);
  });

  test("of an earlier release knows a newer version that was done as a duplicate", async () => {
    const at = world();
    await published(at, v3, { id: "a", cents: 1, currency: "CHF" });
    const [first] = await at.deliver(release(at, v3));
    const { dispatch } = first!;
    const again = await at.post(release(at, v1), dispatch.record.destination, dispatch.body);
    expect(again.status).toBe(200);
    expect(await again.json()).toMatchObject({ duplicate: true });
  });

  test("that is never deployed leaves a dead letter that says which version was needed", async () => {
    const at = world();
    await published(at, v2, { id: "a", cents: 1 });
    const [delivered] = await at.deliver(release(at, v1));
    expect(delivered!.statuses).toEqual([503, 503, 503, 503, 503, 503]);
    const [letter] = (await at.store.reader.listDead()).items;
    expect(letter!.detail).toContain("expected version 1 or earlier, found 2");
  });

  test("buries at once what an upcast throws for, without the words of the error", async () => {
    const at = world();
    const failing = nextVersion(v1, z.object({ id: z.string() }), ({ id }): { id: string } => {
      throw new TypeError(`no parcel ${id}`);
    });
    await published(at, v1, { id: "secret", euros: 1 });
    const [delivered] = await at.deliver(release(at, failing));
    expect(delivered!.statuses).toEqual([489]);
    expect(reasonOf(delivered!.answer)).toBe("the upcast to version 2 threw TypeError");
  });

  test("buries what an upcast made that its schema does not take, and what the earlier schema does not take", async () => {
    const at = world();
    const other = topic("parcel.sent", z.unknown());
    await published(at, other, { id: 1 });
    const [first] = await at.deliver(release(at, v3));
    expect(first!.statuses).toEqual([489]);
    expect(reasonOf(first!.answer)).toMatch(/^schema: id: .*; euros: /);
    const wrong = nextVersion(v1, z.object({ id: z.string() }), (() => ({ id: 1 })) as unknown as () => { id: string });
    await published(at, v1, { id: "a", euros: 1 });
    const [second] = await at.deliver(release(at, wrong));
    expect(second!.statuses).toEqual([489]);
    expect(reasonOf(second!.answer)).toMatch(/^schema of version 2: id: /);
  });

  test("buries a version that its topic begins after", async () => {
    const at = world();
    await published(at, v1, { id: "a", euros: 1 });
    const [delivered] = await at.deliver(release(at, topic("parcel.sent", z.unknown(), { version: 3 })));
    expect(delivered!.statuses).toEqual([489]);
    expect(reasonOf(delivered!.answer)).toBe("expected version 3 or later, found 1");
  });

  test.each([0, -1, 1.5, "2", null, 2 ** 31, {}])("refuses a body whose version is %j", async (dataversion) => {
    const at = world();
    const body = JSON.stringify({ ...(await published(at, v1, { id: "a", euros: 1 })), dataversion });
    const { destination } = at.transport.accepted[0]!.record;
    const response = await at.post(release(at, v3), destination, body);
    expect(response.status).toBe(489);
    expect(reasonOf(await response.text())).toBe('envelope: expected a version in "dataversion"');
  });
});

describe("a declaration", () => {
  test("passes the options of a version on to the next one, and takes others instead", () => {
    expect(v3.options).toEqual({ retries: 5, version: 3 });
    const other = nextVersion(v3, z.object({}), () => ({}), { retries: 1 });
    expect(other.options).toEqual({ retries: 1, version: 4 });
    expect([v1, v2, v3, other].map(({ name }) => name)).toEqual(Array(4).fill("parcel.sent"));
  });

  test.each([0, -1, 1.5, Number.NaN, 2 ** 31])("refuses the version %d", (version) => {
    expect(() => topic("parcel.sent", z.unknown(), { version })).toThrow(ConfigurationError);
  });

  test("of an upcast that makes something else is a type error", () => {
    // @ts-expect-error: the next version has no number there.
    nextVersion(v1, z.object({ cents: z.int() }), ({ euros }) => ({ cents: String(euros) }));
    // @ts-expect-error: the version before has no such field.
    nextVersion(v1, z.object({ cents: z.int() }), ({ cents }) => ({ cents }));
    const typed: Topic<{ id: string; cents: number }, { id: string; cents: number }> = v2;
    expect(typed).toBe(v2);
  });
});
