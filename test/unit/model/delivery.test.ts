import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeRecord,
  deduplicationId,
  deliveryRecord,
  hashDestination,
  isDeliveryKey,
} from "../../../src/model/delivery.ts";
import type { DeliveryFacts } from "../../../src/model/delivery.ts";
import { webCrypto } from "../../../src/system/crypto.ts";

const facts: DeliveryFacts = {
  transactionId: "0197-tx",
  index: 3,
  destination: "https://stock.example.net/consumers/stock",
  destinationHash: "0123456789abcdef",
  topic: "order.paid",
  messageId: "0197-tx_3",
  on: "commit",
  deadlineMillis: 120_000,
  send: { retries: 3, headers: { "x-a": "ö\u2028😀\u007f" } },
};

describe("a delivery record", () => {
  test("is the same to the letter each time it is written, and when it was read", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string(), fc.nat(99_999), (text, body, index) => {
        const whole: DeliveryFacts = {
          ...facts,
          index,
          check: "order",
          messageId: text,
          send: { ...facts.send, headers: { "x-a": text } },
          parent: { consumer: text, messageId: text, token: "t" },
          epoch: "e",
          decidedAt: 1,
        };
        const record = deliveryRecord(whole, body);
        expect(deliveryRecord(whole, body)).toEqual(record);
        const read = decodeRecord(record.meta, record.body);
        expect(read).toEqual(record);
        expect(read.meta).toBe(record.meta);
      }),
    );
  });

  test("has facts on one line of printable ASCII: a header holds them", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const { meta } = deliveryRecord({ ...facts, messageId: text, send: { headers: { a: text } } }, "");
        expect(meta).toMatch(/^[\x20-\x7e]*$/);
        expect(() => new Headers({ a: meta })).not.toThrow();
      }),
    );
  });

  test("keeps the facts of a release that knows more", () => {
    const meta = JSON.stringify({ v: 1, ...facts, newer: true });
    expect(decodeRecord(meta, "{}").meta).toBe(meta);
  });

  const unreadable: Record<string, unknown> = {
    "another version": { v: 2, ...facts },
    "no version": facts,
    "no facts": { v: 1 },
    "a list": [1],
    nothing: null,
    text: "x",
    "a transaction id with other letters": { v: 1, ...facts, transactionId: "a_b" },
    "a transaction id that is a list": { v: 1, ...facts, transactionId: ["a"] },
    "a hash of another form": { v: 1, ...facts, destinationHash: "x" },
    "an index of another form": { v: 1, ...facts, index: -1 },
    "an unknown direction": { v: 1, ...facts, on: "maybe" },
    "no destination": { v: 1, ...facts, destination: undefined },
    "no deadline": { v: 1, ...facts, deadlineMillis: "soon" },
    "no message id": { v: 1, ...facts, messageId: 7 },
    "no way to send": { v: 1, ...facts, send: null },
    "a way to send that is text": { v: 1, ...facts, send: "fast" },
  };
  for (const [name, value] of Object.entries(unreadable)) {
    test(`with ${name} cannot be read, by a typed error`, () => {
      expect(() => decodeRecord(JSON.stringify(value), "{}")).toThrowError(
        expect.objectContaining({ name: "UndecodableError", code: "ERR_UNDECODABLE" }),
      );
    });
  }

  test("that is no JSON cannot be read, and its error does not repeat it", () => {
    expect(() => decodeRecord("{secret", "{}")).toThrowError(expect.objectContaining({ code: "ERR_UNDECODABLE" }));
    expect(() => decodeRecord("{secret", "{}")).not.toThrowError(/secret/);
  });

  test("pollutes nothing by its prototype", () => {
    const meta = JSON.stringify({ v: 1, ...facts }).replace("{", '{"__proto__":{"epoch":"x","polluted":true},');
    expect(decodeRecord(meta, "{}").epoch).toBeUndefined();
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

describe("a delivery's key", () => {
  test("names transaction, message and destination, and with its epoch the copy of it", async () => {
    const destinationHash = await hashDestination(webCrypto, facts.destination);
    const record = deliveryRecord({ ...facts, destinationHash }, "");
    expect(record.key).toBe(`0197-tx_3_${destinationHash}`);
    expect(isDeliveryKey(record.key)).toBe(true);
    expect(deduplicationId(record)).toBe(`${record.key}_0`);
    expect(deduplicationId(deliveryRecord({ ...facts, destinationHash, epoch: "e" }, ""))).toBe(`${record.key}_e`);
    expect(deduplicationId(record)).toMatch(/^[A-Za-z0-9_-]+$/);
  });

  test("has one form", () => {
    for (const key of [
      "",
      "a",
      "a_0",
      "a_0_0123456789ABCDEF",
      "a_0_0123456789abcde",
      "a_0_0123456789abcdef0",
      "a_-1_0123456789abcdef",
      "a_100000_0123456789abcdef",
      "a_b_0_0123456789abcdef",
      "_0_0123456789abcdef",
      "a_0_0123456789abcdef\n",
      "a_0_0123456789abcdef_0",
    ]) {
      expect(isDeliveryKey(key), key).toBe(false);
    }
  });
});
