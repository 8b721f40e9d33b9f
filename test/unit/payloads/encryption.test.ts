import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import * as fc from "fast-check";
import { CompactEncrypt, compactDecrypt } from "jose";
import { describe, expect, test } from "vitest";
import { ConfigurationError, nextVersion, topic } from "aftercommit";
import type { Dispatch } from "aftercommit";
import { payloads } from "aftercommit/payloads";
import { bindingOf, encryptJwe } from "../../../src/payloads/jwe.ts";
import {
  envelopeOf,
  keyOf,
  keysOf,
  LETTER,
  LETTER_ROUTES,
  payloadWorld,
  reasonOf,
} from "../../support/payload-world.ts";
import type { Letters, PayloadWorld } from "../../support/payload-world.ts";

const SECRET = "meet me at the bridge";
const letter = { to: "Ada", text: SECRET };

/** Sends one letter, and takes what the transport was given. */
async function sent(letters: Letters, w: PayloadWorld): Promise<Dispatch> {
  expect((await letters.send(letter)).status).toBe(200);
  return w.transport.take()[0]!;
}

/** Hands a changed body to a consumer, as the transport would. */
async function handed(w: PayloadWorld, letters: Letters, dispatch: Dispatch, change: object = {}) {
  const body = JSON.stringify({ ...envelopeOf(dispatch), ...change });
  const response = await w.post(letters.app, dispatch.record.destination, body);
  return { status: response.status, text: await response.text(), retryAfter: response.headers.get("retry-after") };
}

describe("an encrypted message", () => {
  test("arrives as it was published, and nothing of it is to be read on its way", async () => {
    const w = payloadWorld();
    const letters = w.letters({ encryption: keysOf(1) });
    const { dispatches } = await letters.send(letter);
    expect(dispatches[0]!.body).not.toContain(SECRET);
    expect(envelopeOf(dispatches[0]!)).toMatchObject({ datacontenttype: "application/jose", type: "letter.sent" });
    expect(JSON.stringify(w.store.snapshot())).not.toContain(SECRET);
    const delivered = await w.deliver(letters.app);
    expect(delivered.map(({ statuses }) => statuses)).toEqual([[200]]);
    expect(letters.received).toEqual([letter]);
  });

  test("is opened by any JOSE library that has the key, and tells it which message it is of", async () => {
    const w = payloadWorld();
    const { data, id, source, type } = envelopeOf(await sent(w.letters({ encryption: keysOf(1) }), w));
    const { plaintext, protectedHeader } = await compactDecrypt(data as string, Buffer.from(keyOf(1), "base64"));
    expect(JSON.parse(new TextDecoder().decode(plaintext))).toEqual(letter);
    expect(protectedHeader).toEqual({
      alg: "dir",
      enc: "A256GCM",
      kid: "key-1",
      ce: { id, source, type, dataversion: 1 },
    });
  });

  test("is AES-256-GCM with a tag of 128 bits over its data and its header", async () => {
    const w = payloadWorld();
    const { data } = envelopeOf(await sent(w.letters({ encryption: keysOf(1) }), w));
    const [header, wrapped, iv, ciphertext, tag] = (data as string).split(".");
    expect(wrapped).toBe("");
    const decipher = createDecipheriv("aes-256-gcm", Buffer.from(keyOf(1), "base64"), Buffer.from(iv!, "base64url"));
    decipher.setAAD(Buffer.from(header!));
    decipher.setAuthTag(Buffer.from(tag!, "base64url"));
    const plain = Buffer.concat([decipher.update(Buffer.from(ciphertext!, "base64url")), decipher.final()]);
    expect(JSON.parse(plain.toString())).toEqual(letter);
  });

  test("may be made by another JOSE library", async () => {
    const w = payloadWorld();
    const letters = w.letters({ encryption: keysOf(1) });
    const dispatch = await sent(letters, w);
    const { id, source, type } = envelopeOf(dispatch);
    const other = { to: "Bob", text: "made elsewhere" };
    const data = await new CompactEncrypt(Buffer.from(JSON.stringify(other)))
      .setProtectedHeader({ alg: "dir", enc: "A256GCM", kid: "key-1", ce: { id, source, type, dataversion: 1 } })
      .encrypt(Buffer.from(keyOf(1), "base64"));
    expect((await handed(w, letters, dispatch, { data })).status).toBe(200);
    expect(letters.received).toEqual([other]);
  });

  test("never has an initialization vector twice", async () => {
    const key = randomBytes(32);
    const binding = { id: "a", source: "b", type: "c", dataversion: 1 };
    const all = await Promise.all(Array.from({ length: 2_000 }, () => encryptJwe("text", "k", key, binding)));
    expect(new Set(all.map((jwe) => jwe.split(".")[2])).size).toBe(all.length);
  });

  test("keeps any data that JSON holds to the letter", async () => {
    const codec = payloads({ encryption: keysOf(1) });
    const how = { encrypted: undefined, exclusive: true, neededMillis: 1 };
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.jsonValue(), fc.constant(undefined)),
        fc.string({ unit: "binary" }),
        async (data, id) => {
          const envelope = {
            specversion: "1.0",
            id,
            source: "s",
            type: "t",
            time: "2027-01-15T08:00:00.000Z",
            datacontenttype: "application/json",
            transactionid: "tx",
            messageindex: 0,
            data,
          } as const;
          const travelled = JSON.parse(JSON.stringify(await codec.seal(envelope, how))) as typeof envelope;
          const opened = await codec.open(travelled);
          if (opened.status !== "opened") throw new Error(opened.reason);
          expect(opened.envelope).toEqual(JSON.parse(JSON.stringify(envelope)));
        },
      ),
      { numRuns: 200 },
    );
  });

  test("of which anything was changed is dead at once, and the handler sees nothing of it", async () => {
    const w = payloadWorld();
    const letters = w.letters({ encryption: keysOf(1) });
    const dispatch = await sent(letters, w);
    const jwe = envelopeOf(dispatch).data as string;
    const flipped = Array.from({ length: jwe.length }, (_, i) => i).filter((i) => i % 7 === 0 && jwe[i] !== ".");
    for (const i of flipped) {
      const data = `${jwe.slice(0, i)}${jwe[i] === "A" ? "B" : "A"}${jwe.slice(i + 1)}`;
      const { status, text } = await handed(w, letters, dispatch, { data });
      // A changed name of the key is that of another key, perhaps one that is yet to come.
      if (status !== 503) expect([i, status]).toEqual([i, 489]);
      else expect(reasonOf(text)).toMatch(/^the key ".*" is not configured here$/);
    }
    for (const data of ["", "....", jwe.slice(0, -4), `${jwe}A`, `${jwe}.`, `A${jwe}`, null, 1, { jwe }, undefined]) {
      expect([data, (await handed(w, letters, dispatch, { data })).status]).toEqual([data, 489]);
    }
    expect(letters.received).toEqual([]);
    expect((await handed(w, letters, dispatch)).status).toBe(200);
  });

  test("whose ciphertext is that of another message is dead at once", async () => {
    const w = payloadWorld();
    const letters = w.letters({ encryption: keysOf(1) });
    const one = await sent(letters, w);
    const two = await sent(letters, w);
    const swapped = await handed(w, letters, one, { data: envelopeOf(two).data });
    expect(swapped.status).toBe(489);
    expect(reasonOf(swapped.text)).toBe("the encrypted data are those of another message");
    for (const change of [{ source: "https://other.example.com/" }, { id: "another" }]) {
      expect((await handed(w, letters, one, change)).status).toBe(489);
    }
    expect(letters.received).toEqual([]);
  });

  test("that is given out for another version, so that other code would read it, is dead at once", async () => {
    const w = payloadWorld();
    const next = nextVersion(topic("letter.sent", LETTER), LETTER, (data) => data);
    const letters = w.letters({ encryption: keysOf(1) }, {}, next);
    const dispatch = await sent(letters, w);
    expect((await handed(w, letters, dispatch, { dataversion: undefined })).status).toBe(489);
    expect((await handed(w, letters, dispatch)).status).toBe(200);
  });

  test("with a header that asks for anything else is dead at once", async () => {
    const w = payloadWorld();
    const letters = w.letters({ encryption: keysOf(1) });
    const dispatch = await sent(letters, w);
    const ce = bindingOf(envelopeOf(dispatch) as never);
    const sound = { alg: "dir", enc: "A256GCM", kid: "key-1", ce };
    expect((await handed(w, letters, dispatch, { data: jweWith(sound, letter) })).status).toBe(200);
    const next = await sent(letters, w);
    Object.assign(ce, bindingOf(envelopeOf(next) as never));
    for (const header of [
      { alg: "none", enc: "A256GCM", kid: "key-1", ce },
      { alg: "dir", enc: "A128GCM", kid: "key-1", ce },
      { alg: "dir", enc: "A256GCM", kid: "key-1", ce, zip: "DEF" },
      { alg: "dir", enc: "A256GCM", kid: "key-1", ce, crit: ["exp"] },
      { alg: "dir", enc: "A256GCM", kid: 1, ce },
      { alg: "dir", enc: "A256GCM", kid: "key-1" },
      { alg: "dir", enc: "A256GCM", kid: "key-1", ce: null },
      null,
      "text",
    ]) {
      const { status } = await handed(w, letters, next, { data: jweWith(header, letter) });
      expect([header, status]).toEqual([header, 489]);
    }
    expect(letters.received).toHaveLength(1);
  });

  test("that the schema refuses is dead without a word about its data", async () => {
    const w = payloadWorld();
    const anything = topic("letter.sent", LETTER);
    const producer = w.letters({ encryption: keysOf(1) }, {}, anything);
    await producer.send({ to: "Ada", text: SECRET });
    const strict = { ...anything, schema: refusingWithValues } as typeof anything;
    const consumer = w.letters({ encryption: keysOf(1) }, {}, strict);
    const [delivered] = await w.deliver(consumer.app);
    expect(delivered!.statuses).toEqual([489]);
    expect(reasonOf(delivered!.answer)).toBe("schema: 1 issues, kept secret as the data are");
    expect(JSON.stringify([w.store.snapshot(), w.events, delivered])).not.toContain(SECRET);
  });
});

/** Data that were encrypted rightly, under a header that says anything. */
function jweWith(header: unknown, data: unknown): string {
  const encoded = Buffer.from(JSON.stringify(header)).toString("base64url");
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", Buffer.from(keyOf(1), "base64"), iv).setAAD(Buffer.from(encoded));
  const parts = [iv, Buffer.concat([cipher.update(JSON.stringify(data)), cipher.final()]), cipher.getAuthTag()];
  return `${encoded}..${parts.map((part) => part.toString("base64url")).join(".")}`;
}

/** A schema whose words quote the data. */
const refusingWithValues = {
  "~standard": {
    version: 1,
    vendor: "test",
    validate: (value: unknown) => ({ issues: [{ message: `not ${JSON.stringify(value)}` }] }),
  },
} as const;

describe("keys", () => {
  test("are rotated while messages are under way, and none is lost", async () => {
    const w = payloadWorld();
    const steps = [keysOf(1), keysOf(1, 2), keysOf(2, 1), keysOf(2)];
    const received: string[] = [];
    for (const [i, encryption] of steps.entries()) {
      const producer = w.letters({ encryption });
      await producer.send({ to: "Ada", text: `sent at step ${i}` });
      // What was sent in a step is consumed in the next one, by a release of that.
      const consumer = w.letters({ encryption: steps[Math.min(i + 1, 3)]! });
      for (const { statuses } of await w.deliver(consumer.app)) expect(statuses).toEqual([200]);
      received.push(...consumer.received.map(({ text }) => text));
    }
    expect(received).toEqual(steps.map((_, i) => `sent at step ${i}`));
  });

  test("the first encrypts", async () => {
    const w = payloadWorld();
    const { data } = envelopeOf(await sent(w.letters({ encryption: keysOf(2, 1) }), w));
    expect(Buffer.from((data as string).split(".")[0]!, "base64url").toString()).toContain('"kid":"key-2"');
  });

  test("one that is not configured yet keeps its messages waiting, and not dead", async () => {
    const w = payloadWorld();
    const dispatch = await sent(w.letters({ encryption: keysOf(2) }), w);
    for (const behind of [w.letters({ encryption: keysOf(1) }), w.letters({ claimCheck: {} }), w.letters()]) {
      const { status, retryAfter } = await handed(w, behind, dispatch);
      expect([status, retryAfter]).toEqual([503, "60"]);
      expect(behind.received).toEqual([]);
    }
    const unaware = w.letters({}, { payloads: undefined });
    const { status, text } = await handed(w, unaware, dispatch);
    expect(status).toBe(503);
    expect(reasonOf(text)).toBe("the data are sealed, and this service has no payloads configured");
    const ready = w.letters({ encryption: keysOf(1, 2) });
    expect((await handed(w, ready, dispatch)).status).toBe(200);
    expect(ready.received).toEqual([letter]);
  });

  test("another one of the same id is told from the right one, and its messages are dead", async () => {
    const w = payloadWorld();
    const dispatch = await sent(w.letters({ encryption: keysOf(1) }), w);
    const wrong = w.letters({ encryption: { keys: [{ id: "key-1", key: keyOf(9) }] } });
    const { status, text } = await handed(w, wrong, dispatch);
    expect(status).toBe(489);
    expect(reasonOf(text)).toContain("have been changed, or their key was another of the same id");
  });

  test("are taken as bytes, in base64 and in base64url, padded or not", async () => {
    const bytes = Buffer.from("fbefbefbff".padEnd(64, "3f"), "hex");
    const forms = [
      new Uint8Array(bytes),
      bytes.toString("base64"),
      bytes.toString("base64url"),
      bytes.toString("base64").replace(/=+$/, ""),
    ];
    for (const key of forms) {
      const w = payloadWorld();
      const dispatch = await sent(w.letters({ encryption: { keys: [{ id: "k", key }] } }), w);
      const letters = w.letters({ encryption: { keys: [{ id: "k", key: forms[0]! }] } });
      expect((await handed(w, letters, dispatch)).status).toBe(200);
    }
  });

  test.each([
    ["none", { keys: [] }],
    ["a short one", { keys: [{ id: "k", key: btoa("short-and-secret") }] }],
    ["a long one", { keys: [{ id: "k", key: new Uint8Array(64) }] }],
    ["one that is no base64", { keys: [{ id: "k", key: "short-and-secret!" }] }],
    ["one without a name", { keys: [{ id: "", key: keyOf(1) }] }],
    [
      "two of one name",
      {
        keys: [
          { id: "k", key: keyOf(1) },
          { id: "k", key: keyOf(2) },
        ],
      },
    ],
  ])("%s: refused at start, and nothing of a key is told", (_name, encryption) => {
    const w = payloadWorld();
    let thrown: unknown;
    try {
      w.letters({ encryption });
    } catch (error) {
      thrown = error;
    }
    if (!ConfigurationError.is(thrown)) throw new Error("expected it to be refused");
    expect(thrown.message).toContain("payloads.encryption.keys");
    expect(thrown.message).not.toContain("short-and-secret");
    expect(thrown.message).not.toContain(btoa("short-and-secret"));
    expect(thrown.message).not.toContain(keyOf(1));
  });
});

describe("a topic", () => {
  test("that must be encrypted is not published without keys, and nothing of it is kept anywhere", async () => {
    const secret = topic("letter.sent", LETTER, { encrypted: true });
    const w = payloadWorld();
    for (const sealing of [{}, { claimCheck: { above: 0 } }]) {
      const { status, dispatches } = await w.letters(sealing, {}, secret).send(letter);
      expect([status, dispatches]).toEqual([500, []]);
    }
    const { status } = await w.letters({}, { payloads: undefined }, secret).send(letter);
    expect(status).toBe(500);
    expect(w.of("requestFailed").map(({ error }) => (error as { code: string }).code)).toEqual(
      Array(3).fill("ERR_INVALID_MESSAGE"),
    );
    expect(await w.store.reader.counts()).toMatchObject({ unsettled: 0 });
    expect([...w.payloadStore.texts()]).toEqual([]);
  });

  test("that must be encrypted is not consumed in the clear", async () => {
    const w = payloadWorld();
    const secret = topic("letter.sent", LETTER, { encrypted: true });
    const plain = await sent(w.letters(), w);
    const large = await sent(w.letters({ claimCheck: { above: 0 } }), w);
    const consumer = w.letters({ encryption: keysOf(1), claimCheck: {} }, {}, secret);
    for (const dispatch of [plain, large]) {
      const { status, text } = await handed(w, consumer, dispatch);
      expect(status).toBe(489);
      expect(reasonOf(text)).toBe("expected encrypted data, found plain ones");
    }
    expect(consumer.received).toEqual([]);
  });

  test("says for itself whether it is encrypted; the others are as the service has it", async () => {
    const of = async (encrypted: boolean | undefined, topics: "all" | "declared") => {
      const w = payloadWorld();
      const own = topic("letter.sent", LETTER, encrypted === undefined ? {} : { encrypted });
      const letters = w.letters({ encryption: { ...keysOf(1), topics } }, {}, own);
      const { dispatches } = await letters.send(letter);
      await w.deliver(letters.app);
      expect(letters.received).toEqual([letter]);
      return !dispatches[0]!.body.includes(SECRET);
    };
    expect(await of(undefined, "all")).toBe(true);
    expect(await of(undefined, "declared")).toBe(false);
    expect(await of(true, "declared")).toBe(true);
    expect(await of(false, "all")).toBe(false);
  });
});

describe("a dead letter", () => {
  /** A letter that its consumer gave up. */
  async function buried(w: PayloadWorld, sealing = keysOf(1)): Promise<{ letters: Letters; key: string }> {
    const letters = w.letters({ encryption: sealing });
    await letters.send(letter);
    const [dispatch] = w.transport.take();
    const failed = w.transport.markFailed(dispatch!, { status: 500, response: "no" });
    await w.post(letters.app, dispatch!.failureUrl!, w.receiver.failureBody(failed));
    const [dead] = (await w.store.reader.listDead()).items;
    return { letters, key: dead!.record.key };
  }

  test("is as secret as the message was, and is redriven as it is", async () => {
    const w = payloadWorld();
    const { letters, key } = await buried(w);
    expect(JSON.stringify([w.store.snapshot(), w.events])).not.toContain(SECRET);
    await letters.ac.operator().redrive(key);
    await w.deliver(letters.app);
    expect(letters.received).toEqual([letter]);
  });

  test("is sealed anew for its new id when it is sent as a new message", async () => {
    const w = payloadWorld();
    const { letters, key } = await buried(w);
    const { messageId } = await letters.ac.operator().redrive(key, { asNew: true });
    const dispatch = w.transport.accepted.at(-1)!;
    expect(envelopeOf(dispatch)).toMatchObject({ id: messageId, datacontenttype: "application/jose" });
    expect(dispatch.body).not.toContain(SECRET);
    await w.deliver(letters.app);
    expect(letters.received).toEqual([letter]);
  });

  test("stays where it is while its key is not there, for a new message", async () => {
    const w = payloadWorld();
    const { key } = await buried(w);
    const keyless = w.letters({ encryption: keysOf(2) });
    await expect(keyless.ac.operator().redrive(key, { asNew: true })).rejects.toMatchObject({ code: "ERR_CONFLICT" });
    await expect(
      w.letters({}, { payloads: undefined }).ac.operator().redrive(key, { asNew: true }),
    ).rejects.toMatchObject({ code: "ERR_CONFLICT" });
    expect((await w.store.reader.listDead()).items).toHaveLength(1);
  });

  test("of a plain message is encrypted where the service encrypts by now, when it is sent as a new message", async () => {
    const w = payloadWorld();
    const plain = w.letters();
    await plain.send(letter);
    const [dispatch] = w.transport.take();
    const failed = w.transport.markFailed(dispatch!);
    await w.post(plain.app, dispatch!.failureUrl!, w.receiver.failureBody(failed));
    const letters = w.letters({ encryption: keysOf(1) }, { routes: LETTER_ROUTES });
    await letters.ac.operator().redrive(dispatch!.record.key, { asNew: true });
    expect(w.transport.accepted.at(-1)!.body).not.toContain(SECRET);
    await w.deliver(letters.app);
    expect(letters.received).toEqual([letter]);
  });
});
