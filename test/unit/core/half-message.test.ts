import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import type { Core } from "../../../src/core/core.ts";
import { halfMessages } from "../../../src/core/half-message.ts";
import type { OpenOptions, PublishOptions } from "../../../src/core/half-message.ts";
import { fingerprint } from "../../../src/model/ids.ts";
import { topic } from "../../../src/model/topic.ts";
import type { Topic, TopicDeclaration } from "../../../src/model/topic.ts";
import { utf8Length } from "../../../src/model/bytes.ts";
import { shardOf } from "../../../src/model/shard.ts";
import { sampleId } from "../../../src/testing/samples.ts";
import { serviceOf } from "../../races/race.ts";
import { ELSEWHERE, PUBLIC_URL, world } from "../../support/world.ts";
import type { World } from "../../support/world.ts";

const ID = sampleId(1);
const PARENT = { consumer: "receipt", messageId: "m1", token: "t1" };

interface Asked {
  readonly declared?: TopicDeclaration;
  readonly options?: PublishOptions;
  readonly open?: Partial<OpenOptions>;
  readonly data?: unknown;
  readonly change?: (core: Core) => Core;
}

const anyTopic = (declared: TopicDeclaration = {}): Topic => topic("a.topic", z.unknown(), declared);

function built(w: World, { declared, options = {}, open = {}, data = { n: 1 }, change = (core) => core }: Asked = {}) {
  const { core } = serviceOf(w, { routes: { "a.topic": ["/consumers/a", ELSEWHERE] } });
  return halfMessages(change(core), { id: ID, ...open }, 3, anyTopic(declared), data, options);
}

const envelopeOf = (body: string) => JSON.parse(body) as Record<string, unknown>;

describe("a half message", () => {
  test("goes to each destination of its topic, under one id and with one body", async () => {
    const w = world();
    const [a, b] = await built(w);
    expect(a).toMatchObject({
      transactionId: ID,
      index: 3,
      topic: "a.topic",
      messageId: `${ID}_3`,
      on: "commit",
      deadlineMillis: serviceOf(w, {}).core.settings.deadlineMillis,
      send: {},
    });
    expect([a!.destination, b!.destination]).toEqual([`${PUBLIC_URL}/consumers/a`, ELSEWHERE]);
    expect([b!.messageId, b!.body]).toEqual([a!.messageId, a!.body]);
    for (const field of ["check", "database", "parent"]) expect(a).not.toHaveProperty(field);
    expect(envelopeOf(a!.body)).toEqual({
      specversion: "1.0",
      id: `${ID}_3`,
      source: `${PUBLIC_URL}/`,
      type: "a.topic",
      time: new Date(w.clock.now()).toISOString(),
      datacontenttype: "application/json",
      transactionid: ID,
      messageindex: 3,
      data: { n: 1 },
    });
  });

  test("bears what its transaction bears", async () => {
    const open = { check: "order", database: "main", parent: PARENT, traceparent: "00-a", tracestate: "b=1" };
    const w = world();
    const [record] = await built(w, { open, options: { on: "rollback" } });
    const messageId = await fingerprint(w.crypto, "receipt", "m1", "3");
    expect(record).toMatchObject({ check: "order", database: "main", parent: PARENT, on: "rollback", messageId });
    expect(envelopeOf(record!.body)).toMatchObject({
      id: messageId,
      causationid: "m1",
      traceparent: "00-a",
      tracestate: "b=1",
    });
  });

  test("travels as its publish says, else as its topic does", async () => {
    const w = world();
    const declared = { retries: 5, retryDelay: "1000", timeout: "10s", headers: { "x-a": "1", "x-b": "2" } };
    const [record] = await built(w, { declared });
    expect(record!.send).toStrictEqual({
      retries: 5,
      retryDelay: "1000",
      timeoutMillis: 10_000,
      headers: { "x-a": "1", "x-b": "2" },
    });
    const options = { retries: 0, timeout: 500, headers: { "X-A": "3" } };
    const [other] = await built(w, { declared, options });
    expect(other!.send).toMatchObject({ retries: 0, timeoutMillis: 500, headers: { "x-b": "2", "X-A": "3" } });
  });

  test("waits for its delay, or for its time, which says so in its envelope", async () => {
    const w = world();
    const at = w.clock.now() + 60_000;
    for (const options of [{ delay: "1m" }, { notBefore: new Date(at) }, { delay: "2h", notBefore: new Date(at) }]) {
      const [record] = await built(w, { options });
      expect(record!.send).toStrictEqual({ notBefore: at });
      expect(envelopeOf(record!.body)).toMatchObject({ notbefore: new Date(at).toISOString() });
    }
  });

  test("may be limited, and ordered by its key", async () => {
    const w = world();
    const [limited] = await built(w, { options: { flow: { parallelism: 2, rate: 10, period: "1500ms" } } });
    expect(limited!.send).toStrictEqual({ flow: { parallelism: 2, rate: 10, periodSeconds: 2 } });
    const [rated] = await built(w, { options: { flow: { rate: 10 } } });
    expect(rated!.send).toStrictEqual({ flow: { rate: 10, periodSeconds: 1 } });
    const [ordered] = await built(w, { declared: { orderQueues: 8 }, options: { orderKey: "account-7" } });
    expect(ordered!.send).toStrictEqual({ queue: shardOf("account-7", 8) });
    const [alone] = await built(w, { options: { orderKey: "account-7" } });
    expect(alone!.send).toStrictEqual({ queue: 0 });
  });

  test.each<[PublishOptions, RegExp]>([
    [{ retries: -1 }, /retries to be a whole number.*found -1/],
    [{ retries: 101 }, /retries to be a whole number.*found 101/],
    [{ retries: 1.5 }, /retries to be a whole number.*found 1.5/],
    [{ retryDelay: "a;b" }, /retryDelay to be an arithmetic/],
    [{ timeout: "soon" }, /timeout to be a duration.*found soon/],
    [{ delay: "soon" }, /delay to be a duration.*found soon/],
    [{ notBefore: new Date(Number.NaN) }, /notBefore to be a valid Date/],
    [{ headers: { host: "a" } }, /a header of your own.*found "host"/],
    [{ orderQueues: 0 }, /whole number from 1 to 100/],
    [{ flow: {} }, /a parallelism, a rate or both/],
    [{ on: "later" as "commit" }, /on to be "commit" or "rollback"/],
    [{ orderKey: 7 as unknown as string }, /an orderKey to be text.*found number/],
    [{ orderKey: "a", delay: "1s" }, /either an orderKey or a delay/],
    [{ orderKey: "a", notBefore: new Date(0) }, /either an orderKey or a delay/],
  ])("with %j is refused, and says why", async (options, message) => {
    await expect(built(world(), { options })).rejects.toMatchObject({
      code: "ERR_INVALID_MESSAGE",
      message: expect.stringMatching(message),
      hint: expect.any(String),
    });
  });

  test("may be retried never, or a hundred times", async () => {
    for (const retries of [0, 100])
      expect((await built(world(), { options: { retries } }))[0]!.send).toEqual({ retries });
  });

  test("without a destination is refused, with the id of its transaction", async () => {
    const change = (core: Core): Core => ({ ...core, routes: async () => [] });
    await expect(built(world(), { change })).rejects.toMatchObject({ code: "ERR_UNKNOWN_TOPIC", transactionId: ID });
  });

  test("whose data JSON cannot hold is refused, with the reason", async () => {
    await expect(built(world(), { data: { n: 1n } })).rejects.toMatchObject({
      code: "ERR_INVALID_MESSAGE",
      cause: expect.any(TypeError),
    });
  });

  test("may be as large as the limit, and no larger", async () => {
    const w = world();
    const bytes = utf8Length((await built(w))[0]!.body);
    const limited = (maxMessageBytes: number) => (core: Core) => ({
      ...core,
      settings: { ...core.settings, maxMessageBytes },
    });
    expect(await built(w, { change: limited(bytes) })).toHaveLength(2);
    await expect(built(w, { change: limited(bytes - 1) })).rejects.toMatchObject({
      code: "ERR_MESSAGE_TOO_LARGE",
      messageId: `${ID}_3`,
    });
  });

  test("that its transport would never take is refused before anything is kept", async () => {
    const asked: string[] = [];
    const change = (core: Core): Core => ({
      ...core,
      transport: {
        ...core.transport!,
        refusal({ destination }) {
          asked.push(destination);
          if (destination !== ELSEWHERE) return undefined;
          return { found: "a closed road", hint: "Take another.", code: "ERR_MESSAGE_TOO_LARGE" };
        },
      },
    });
    await expect(built(world(), { change })).rejects.toMatchObject({
      code: "ERR_MESSAGE_TOO_LARGE",
      hint: "Take another.",
      message: expect.stringContaining("a closed road"),
      messageId: `${ID}_3`,
    });
    expect(asked).toEqual([`${PUBLIC_URL}/consumers/a`, ELSEWHERE]);
  });
});
