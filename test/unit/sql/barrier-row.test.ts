import { expect, test } from "vitest";
import { decodeDecision, foundOf } from "../../../adapters/sql/barrier-rows.ts";
import { UndecodableError } from "../../../src/errors.ts";
import {
  currentRecord,
  deadCount,
  decodeMessages,
  decodeResults,
  encodeMessages,
  encodeResults,
  pendingRecords,
} from "../../../src/model/barrier-row.ts";
import type { DeliveryResult } from "../../../src/model/barrier-row.ts";
import {
  AT,
  largeBody,
  sampleId,
  sampleRecord,
  sampleRecords,
  TREACHEROUS_TEXTS,
} from "../../../src/testing/samples.ts";

test("messages come back to the letter, in their order", () => {
  const bodies = [...TREACHEROUS_TEXTS, "\ud83e", "\udd8a", largeBody(20_000)];
  const records = bodies.map((body, index) => sampleRecord({ index, body }));
  expect(decodeMessages(encodeMessages(records))).toEqual(records);
  expect(decodeMessages(encodeMessages([]))).toEqual([]);
});

test("messages as text have neither NUL nor lone surrogates, so that every database keeps them", () => {
  const text = encodeMessages(["\0", "\ud83e", "\udd8a"].map((body, index) => sampleRecord({ index, body })));
  expect(text).not.toContain("\0");
  expect(text.isWellFormed()).toBe(true);
});

test("a fan-out does not repeat its body", () => {
  const body = largeBody(50_000);
  const records = Array.from({ length: 20 }, (_, n) => {
    const destinationHash = n.toString(16).padStart(16, "0");
    return sampleRecord({ body, destination: `https://consumer-${n}.example.com/`, destinationHash });
  });
  const text = encodeMessages(records);
  expect(text.length).toBeLessThan(60_000);
  expect(decodeMessages(text)).toEqual(records);
});

test.each([
  ["another version", '{"v":2,"bodies":[],"deliveries":[]}'],
  ["no version", '{"bodies":[],"deliveries":[]}'],
  ["no bodies", '{"v":1,"deliveries":[]}'],
  ["no deliveries", '{"v":1,"bodies":[]}'],
  ["a delivery of another version", JSON.stringify({ v: 1, bodies: [""], deliveries: [['{"v":2}', 0]] })],
  ["a delivery that is no pair", '{"v":1,"bodies":[""],"deliveries":[null]}'],
  ["a delivery whose body is missing", encodeMessages([sampleRecord()]).replace(/"bodies":\[.*?\],/, '"bodies":[],')],
  ["a body that is no text", encodeMessages([sampleRecord()]).replace(/"bodies":\[.*?\],/, '"bodies":[7],')],
  ["a place that is text", encodeMessages([sampleRecord()]).replace(/,0\]\]\}$/, ',"0"]]}')],
  ["facts in a list", JSON.stringify({ v: 1, bodies: ["{}"], deliveries: [[[sampleRecord().meta], 0]] })],
  ["null", "null"],
  ["a list", "[]"],
  ["no JSON", "not JSON"],
  ["nothing", ""],
])("messages with %s are undecodable, and nothing worse", (_, text) => {
  expect(() => decodeMessages(text)).toThrow(UndecodableError);
});

const results: Readonly<Record<string, DeliveryResult>> = {
  a: { state: "published" },
  b: { state: "dead", reason: "refused", detail: "413", buriedAt: AT },
  c: { state: "dead", reason: "failed", detail: "", buriedAt: AT, epoch: "e1", transportId: "dlq-1", status: 500 },
  d: { state: "half", epoch: "e2" },
  e: { state: "discarded" },
};

test("results come back as they were, and nothing stands for none", () => {
  expect({ ...decodeResults(encodeResults(results)) }).toEqual(results);
  expect({ ...decodeResults(null) }).toEqual({});
  expect(deadCount(results)).toBe(2);
});

test("a result under the name of a prototype is a result, and harms nobody", () => {
  const decoded = decodeResults('{"__proto__":{"state":"dead","polluted":true},"constructor":{"state":"published"}}');
  expect(decoded.constructor).toEqual({ state: "published" });
  expect(decoded.toString).toBeUndefined();
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  expect(Object.getPrototypeOf(decoded)).toBeNull();
  expect(decoded.polluted).toBeUndefined();
});

test("a delivery without a result, or sent again by a person, is left to be sent; no other one is", () => {
  const records = sampleRecords(5);
  const [a, b, c, d] = records.map(({ key }) => key);
  const row = {
    records,
    decidedAt: AT,
    results: {
      [a!]: { state: "published" },
      [b!]: { state: "half", epoch: "e1" },
      [c!]: { state: "dead", reason: "failed", detail: "", buriedAt: AT },
      [d!]: { state: "discarded" },
    },
  } as const;
  expect(pendingRecords(row).map(({ key, epoch }) => [key, epoch])).toEqual([
    [b, "e1"],
    [records[4]!.key, undefined],
  ]);
  expect(currentRecord(row, records[1]!)).toMatchObject({ epoch: "e1", decidedAt: AT });
  expect(currentRecord(row, records[0]!)).toBe(records[0]);
});

const stored = {
  id: sampleId(1),
  kind: "decision",
  verdict: "rolledBack",
  source: "https://shop.example.com",
  messages: encodeMessages([sampleRecord()]),
  created: AT,
  due: AT,
  attempts: 2,
  results: encodeResults(results),
  version: 3,
  settled: null,
  overdue: 1,
};

test("a row is read alike whether its driver gives numbers, texts, bigints or bytes", () => {
  const expected = decodeDecision(stored);
  expect(expected).toMatchObject({ verdict: "rolledBack", decidedAt: AT, attempts: 2, version: 3, settled: false });
  const bytes = (text: string) => new TextEncoder().encode(text);
  const texts = { created: String(AT), attempts: "2", version: "3" };
  const bigints = { created: BigInt(AT), attempts: 2n, version: 3n };
  const buffers = { id: bytes(stored.id), source: bytes(stored.source), messages: bytes(stored.messages) };
  for (const change of [texts, bigints, buffers]) expect(decodeDecision({ ...stored, ...change })).toEqual(expected);
  const { results: _r, settled: _s, ...bare } = stored;
  expect(decodeDecision(bare)).toMatchObject({ settled: false });
  for (const settled of [0, AT, String(AT), BigInt(AT)]) {
    expect(decodeDecision({ ...stored, settled }).settled).toBe(true);
  }
});

test("a decision counts more than the intent beside it", () => {
  const intent = { ...stored, kind: "intent", verdict: null };
  expect(foundOf([intent, stored])?.state).toBe("decided");
  expect(foundOf([intent])).toMatchObject({ state: "intended", overdue: true });
  expect(foundOf([{ ...intent, overdue: "0" }])).toMatchObject({ state: "intended", overdue: false });
  expect(foundOf([])).toBeUndefined();
  expect(foundOf([{ ...stored, messages: "{}" }])).toEqual({ state: "undecodable" });
  expect(foundOf([{ ...intent, messages: "{}" }])).toEqual({ state: "undecodable" });
});
