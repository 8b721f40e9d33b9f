import { describe, expect, test } from "vitest";
import { qstash, qstashReceiver } from "../../../adapters/qstash/index.ts";
import type { QStashReceiverOptions } from "../../../adapters/qstash/index.ts";
import { CURRENT_KEY, NEXT_KEY } from "./tokens.ts";

const keys = { currentSigningKey: CURRENT_KEY, nextSigningKey: NEXT_KEY };
const receiver = qstashReceiver(keys);
const client = { http: { request: () => Promise.resolve(undefined) } };
const DEV_KEYS = [
  "sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r",
  "sig_5ZB6DVzB1wjE8S6rZ7eenA8Pdnhs",
  "sig_7RvLjqfZBvP5KEUimQCE1pvpLuou",
  "sig_7W3ZNbfKWk5NWwEs3U4ixuQ7fxwE",
];

function problemsOf(options: QStashReceiverOptions, dev = false): readonly { path: string; found: string }[] {
  return qstashReceiver(options).problems?.({ dev }) ?? [];
}

describe("hints", () => {
  test.each([
    ["0", 1],
    ["3", 4],
    ["", 1],
    ["-1", 1],
    ["1e9", 1],
    ["99999999999", 1],
    ["x", 1],
  ])("the attempt counts from 1: Upstash-Retried %j is attempt %i", (retried, attempt) => {
    expect(receiver.hints(new Headers({ "Upstash-Retried": retried }))).toEqual({ attempt });
  });

  test("the facts of the delivery come from their header, where there is one", () => {
    expect(receiver.hints(new Headers({ "aftercommit-delivery": '{"v":1}' }))).toEqual({ attempt: 1, meta: '{"v":1}' });
    expect(receiver.hints(new Headers())).toEqual({ attempt: 1 });
  });
});

describe("a failure callback", () => {
  const url = new URL("https://shop.example.com/_aftercommit/failed?epoch=e1");
  const base64 = (text: string | Uint8Array) => Buffer.from(text).toString("base64");
  const callback = {
    status: 500,
    header: { "Content-Type": ["text/plain"] },
    body: base64("out of stock"),
    retried: 3,
    maxRetries: 3,
    dlqId: "1725323658779-0",
    sourceMessageId: "msg_1",
    url: "https://stock.example.com/consumers/stock",
    method: "POST",
    sourceHeader: { "Content-Type": ["application/cloudevents+json"], "Aftercommit-Delivery": ['{"v":1}'] },
    sourceBody: base64('{"name":"ä"}'),
    createdAt: 1,
  };
  const parse = (fields: object, at = url) => receiver.parseFailure(JSON.stringify({ ...callback, ...fields }), at);

  test("is read with the message, the last answer and the epoch of its URL", () => {
    expect(parse({})).toEqual({
      letter: {
        transportId: "1725323658779-0",
        url: "https://stock.example.com/consumers/stock",
        body: '{"name":"ä"}',
        meta: '{"v":1}',
        epoch: "e1",
        status: 500,
        response: "out of stock",
      },
    });
  });

  test.each([
    ["an array", { "Aftercommit-Delivery": ["m", "n"] }],
    ["text", { "Aftercommit-Delivery": "m" }],
    ["in lower case", { "aftercommit-delivery": ["m"] }],
    ["in upper case", { "AFTERCOMMIT-DELIVERY": "m" }],
  ])("is read whatever the shape of its headers: %s", (_name, sourceHeader) => {
    expect(parse({ sourceHeader })).toMatchObject({ letter: { meta: "m" } });
  });

  test.each([[undefined], [null], ["text"], [["Aftercommit-Delivery"]], [{ "Aftercommit-Delivery": 7 }], [{}]])(
    "is read without facts where its headers are %j",
    (sourceHeader) => {
      const parsed = parse({ sourceHeader });
      expect("letter" in parsed && parsed.letter.meta).toBe(undefined);
    },
  );

  test("is read without what is missing or unusable in it", () => {
    const bare = parse(
      { dlqId: "../schedules", status: 0, body: undefined, sourceHeader: undefined },
      new URL("https://shop.example.com/failed"),
    );
    expect(bare).toEqual({ letter: { url: callback.url, body: '{"name":"ä"}', response: "no response" } });
  });

  test("tells of an answer whose body is empty or not text", () => {
    expect(parse({ body: "" })).toMatchObject({ letter: { response: "status 500 without a readable body" } });
    expect(parse({ body: base64(Uint8Array.of(0xff)) })).toMatchObject({
      letter: { response: "status 500 without a readable body" },
    });
  });

  test("an epoch that cannot be ours is none", () => {
    for (const epoch of ["", "a b", "x".repeat(65), "é"]) {
      const parsed = parse({}, new URL(`https://shop.example.com/failed?epoch=${epoch}`));
      expect("letter" in parsed && parsed.letter.epoch).toBe(undefined);
    }
  });

  test("the callback of a success is none of a failure", () => {
    expect(parse({ status: 200 })).toEqual({ reason: expect.stringContaining("success") as unknown });
  });

  test.each([
    ["other text", "no JSON"],
    ["an array", "[]"],
    ["no destination", JSON.stringify({ ...callback, url: 7 })],
    ["a source that is not base64", JSON.stringify({ ...callback, sourceBody: "%%%" })],
    ["a source that is not text", JSON.stringify({ ...callback, sourceBody: base64(Uint8Array.of(0xff, 0xfe)) })],
  ])("is refused with a reason where it is %s", (_name, body) => {
    expect(receiver.parseFailure(body, url)).toEqual({ reason: expect.any(String) as unknown });
  });
});

describe("the configuration of the keys", () => {
  test("has no problem with two keys of one's own", () => {
    expect(problemsOf(keys)).toEqual([]);
    expect(problemsOf({ keys: [{ current: CURRENT_KEY, next: NEXT_KEY }] })).toEqual([]);
  });

  test("a missing environment variable is a problem for each key", () => {
    for (const missing of [undefined, ""]) {
      expect(problemsOf({ currentSigningKey: missing, nextSigningKey: missing })).toMatchObject([
        { path: "qstash.currentSigningKey", found: "nothing" },
        { path: "qstash.nextSigningKey", found: "nothing" },
      ]);
    }
    expect(problemsOf({})).toHaveLength(2);
    expect(problemsOf({ keys: [] })).toHaveLength(2);
    expect(problemsOf({ currentSigningKey: CURRENT_KEY })).toHaveLength(1);
  });

  test("a short key is a problem, and so is the same key twice", () => {
    expect(problemsOf({ ...keys, nextSigningKey: "sig_truncated" })).toMatchObject([{ found: "13 characters" }]);
    expect(problemsOf({ ...keys, nextSigningKey: CURRENT_KEY })).toMatchObject([{ found: "the same key twice" }]);
  });

  test("the pairs of further regions are checked too", () => {
    const further = { ...keys, keys: [{ current: "short", next: NEXT_KEY }] };
    expect(problemsOf(further)).toMatchObject([{ path: "qstash.keys[0].current" }]);
  });

  test.each(DEV_KEYS)("a public key of the development servers is a problem outside dev mode: %s", (key) => {
    const options = { currentSigningKey: key, nextSigningKey: NEXT_KEY };
    expect(problemsOf(options)).toMatchObject([{ path: "qstash.currentSigningKey" }]);
    expect(problemsOf(options, true)).toEqual([]);
  });

  test("a tolerance that is no duration or above 60 s is a problem", () => {
    expect(problemsOf({ ...keys, clockTolerance: "60s" })).toEqual([]);
    expect(problemsOf({ ...keys, clockTolerance: "61s" })).toHaveLength(1);
    expect(problemsOf({ ...keys, clockTolerance: "soon" })).toHaveLength(1);
  });

  test("no problem shows a key", () => {
    const bad = {
      currentSigningKey: "sig_truncated",
      nextSigningKey: DEV_KEYS[0],
      keys: [{ current: NEXT_KEY, next: NEXT_KEY }],
    };
    const shown = JSON.stringify(problemsOf(bad));
    for (const key of ["sig_truncated", DEV_KEYS[0]!, NEXT_KEY]) expect(shown).not.toContain(key);
  });
});

describe("the transport's receiver", () => {
  test("is there where keys are mentioned, even by a variable that is missing", () => {
    expect(qstash({ client }).receiver).toBe(undefined);
    expect(qstash({ client, ...keys }).receiver).toBeDefined();
    const forgotten = qstash({ client, currentSigningKey: undefined, nextSigningKey: undefined });
    expect(forgotten.receiver?.problems?.({ dev: false })).toHaveLength(2);
  });
});
