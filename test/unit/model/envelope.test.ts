import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ageFrom,
  encodeEnvelope,
  isEncrypted,
  isSealed,
  parseEnvelope,
  stampEnvelope,
  unstampEnvelope,
} from "../../../src/model/envelope.ts";
import type { Envelope } from "../../../src/model/envelope.ts";

const envelope: Omit<Envelope, "decidedat"> = {
  specversion: "1.0",
  id: "0197-tx_0",
  source: "https://shop.example.com/",
  type: "order.paid",
  time: "2027-01-15T08:00:00.000Z",
  datacontenttype: "application/json",
  transactionid: "0197-tx",
  messageindex: 0,
  data: { text: 'a "quoted", {braced} ö\n\u2028' },
};

function read(body: string): Envelope {
  const parsed = parseEnvelope(body);
  if ("reason" in parsed) throw new Error(parsed.reason);
  return parsed.envelope;
}

describe("a half message", () => {
  test("with its decision's time is the envelope with that time, and without it itself again", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.integer({ min: 0, max: 253_402_300_799_999 }), (data, decidedAt) => {
        const half = encodeEnvelope({ ...envelope, data });
        const stamped = stampEnvelope(half, decidedAt);
        expect(read(stamped)).toEqual(
          JSON.parse(JSON.stringify({ ...envelope, data, decidedat: new Date(decidedAt).toISOString() })),
        );
        expect(unstampEnvelope(stamped)).toBe(half);
        expect(stampEnvelope(half, decidedAt)).toBe(stamped);
      }),
    );
  });

  test("is what a body without a stamp of ours is", () => {
    for (const body of ["", "{", "{}", '{"decidedat":"soon"}', '{"decidedat":', encodeEnvelope(envelope)]) {
      expect(unstampEnvelope(body)).toBe(body);
    }
  });
});

describe("an envelope", () => {
  test("is read with everything that it has", () => {
    const whole = {
      ...envelope,
      decidedat: envelope.time,
      notbefore: envelope.time,
      causationid: "a",
      traceparent: "b",
      tracestate: "c",
    };
    expect(read(JSON.stringify(whole))).toEqual(whole);
  });

  test("is read with attributes of the largest size", () => {
    const largest = {
      ...envelope,
      id: "x".repeat(2_048),
      transactionid: "a".repeat(64),
      messageindex: 99_999,
      dataversion: 2_147_483_647,
    };
    expect(read(JSON.stringify(largest))).toEqual(largest);
  });

  const refused: Record<string, unknown> = {
    "no text": undefined,
    "a number": 7,
    "a list": [envelope],
    "another version": { ...envelope, specversion: "2.0" },
    "an empty id": { ...envelope, id: "" },
    "an id that is no text": { ...envelope, id: 7 },
    "an id that is too long": { ...envelope, id: "x".repeat(2_049) },
    "no source": { ...envelope, source: undefined },
    "no type": { ...envelope, type: null },
    "no time": { ...envelope, time: undefined },
    "a time that is none": { ...envelope, time: "soon" },
    "a decision at no time": { ...envelope, decidedat: "soon" },
    "a decision at a number": { ...envelope, decidedat: 1_800_000_000_000 },
    "a decision at a number that reads like a year": { ...envelope, decidedat: 2027 },
    "a not-before that is none": { ...envelope, notbefore: "99999999" },
    "a transaction id with other letters": { ...envelope, transactionid: "a:b" },
    "a transaction id that is too long": { ...envelope, transactionid: "a".repeat(65) },
    "no index": { ...envelope, messageindex: undefined },
    "a negative index": { ...envelope, messageindex: -1 },
    "half an index": { ...envelope, messageindex: 0.5 },
    "an index as text": { ...envelope, messageindex: "0" },
    "a large index": { ...envelope, messageindex: 100_000 },
    "a version of its data that is none": { ...envelope, dataversion: 0 },
    "half a version of its data": { ...envelope, dataversion: 1.5 },
    "a version of its data as text": { ...envelope, dataversion: "2" },
    "a version of its data that is too large": { ...envelope, dataversion: 2_147_483_648 },
    "a cause that is no text": { ...envelope, causationid: {} },
    "a trace that is no text": { ...envelope, traceparent: 1 },
    "a trace state that is no text": { ...envelope, tracestate: [] },
  };
  for (const [name, value] of Object.entries(refused)) {
    test(`is not one with ${name}`, () => {
      expect(parseEnvelope(JSON.stringify(value) ?? "")).toEqual({ reason: expect.any(String) });
    });
  }

  test("takes nothing from a prototype in the body", () => {
    const hostile = JSON.stringify(envelope).replace("{", '{"__proto__":{"causationid":"x","polluted":true},');
    const parsed = read(hostile);
    expect(parsed.causationid).toBeUndefined();
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    const { id, source, type, ...rest } = envelope;
    const inherited = JSON.stringify(rest).replace("{", `{"__proto__":${JSON.stringify({ id, source, type })},`);
    expect(parseEnvelope(inherited)).toEqual({ reason: expect.stringContaining('"id"') });
    const constructed = JSON.stringify({ ...rest, constructor: { prototype: { id, source, type } } });
    expect(parseEnvelope(constructed)).toEqual({ reason: expect.any(String) });
  });

  test("that is huge or deep is read or refused, and never throws", () => {
    const deep = "[".repeat(200_000) + "]".repeat(200_000);
    const bodies = [
      deep,
      "[".repeat(500_000),
      '{"a":'.repeat(100_000),
      `{"specversion":"1.0","data":${deep}}`,
      JSON.stringify({ ...envelope, data: "x".repeat(2_000_000) }),
      "\0",
      "\ufeff{}",
      "1e400",
      `"${"\\u0000".repeat(10_000)}"`,
    ];
    for (const body of bodies) expect(() => parseEnvelope(body)).not.toThrow();
  });

  test("never throws, whatever the body", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (body) => void parseEnvelope(body)));
  });
});

test("an envelope is sealed where its data are encrypted or lie elsewhere", () => {
  const whole = read(encodeEnvelope(envelope));
  const encrypted: Envelope = { ...whole, datacontenttype: "application/jose" };
  const elsewhere: Envelope = { ...whole, dataref: "https://payloads.example.com/1" };
  expect([whole, encrypted, elsewhere].map(isSealed)).toEqual([false, true, true]);
  expect([whole, encrypted, elsewhere].map(isEncrypted)).toEqual([false, true, false]);
});

test("a message's age counts from the later of its decision and its earliest delivery", () => {
  const at = (day: number) => `2027-01-${String(day).padStart(2, "0")}T00:00:00.000Z`;
  const age = (fields: Partial<Envelope>) => new Date(ageFrom({ ...envelope, time: at(1), ...fields })).toISOString();
  expect(age({})).toBe(at(1));
  expect(age({ decidedat: at(2) })).toBe(at(2));
  expect(age({ decidedat: at(2), notbefore: at(3) })).toBe(at(3));
  expect(age({ decidedat: at(4), notbefore: at(3) })).toBe(at(4));
});
