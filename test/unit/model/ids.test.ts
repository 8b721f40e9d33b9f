import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromBase64Url, toBase64Url, toHex, utf8, utf8Length } from "../../../src/model/bytes.ts";
import { fingerprint, isTransactionId, madeAt, randomToken, transactionIdAt } from "../../../src/model/ids.ts";
import { shardOf } from "../../../src/model/shard.ts";
import { webCrypto } from "../../../src/system/crypto.ts";

describe("a transaction id", () => {
  test("is a UUID of version 7", () => {
    for (let n = 0; n < 200; n++) {
      const id = transactionIdAt(1_800_000_000_000 + n * 997, webCrypto);
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(isTransactionId(id)).toBe(true);
    }
  });

  test("sorts by the time it was made, and tells it", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 48 - 2 }), fc.integer({ min: 1, max: 10_000 }), (millis, later) => {
        const [a, b] = [
          transactionIdAt(millis, webCrypto),
          transactionIdAt(Math.min(millis + later, 2 ** 48 - 1), webCrypto),
        ];
        expect(a < b).toBe(true);
        expect(madeAt(a)).toBe(millis);
      }),
    );
  });

  test("has 74 bits of chance: all but its time, its version and its variant", () => {
    const filled = (bits: number) => transactionIdAt(0, { ...webCrypto, random: (n) => new Uint8Array(n).fill(bits) });
    expect(filled(0xff)).toBe("00000000-0000-7fff-bfff-ffffffffffff");
    expect(filled(0)).toBe("00000000-0000-7000-8000-000000000000");
  });

  test("of another form tells no time", () => {
    const id = transactionIdAt(1_800_000_000_000, webCrypto);
    for (const other of ["", "0197-tx", "9b2f9b2e-58f0-4c55-8f5e-4f2f9d1c2a3b", "X".repeat(36), `0${id}`, `-${id}`]) {
      expect(madeAt(other)).toBeUndefined();
    }
  });

  test("consists of letters that are safe everywhere", () => {
    for (const id of ["", "a_b", "a:b", "a b", "a\n", "{a}", "*", "..", "ä", "a/b", "a".repeat(65)]) {
      expect(isTransactionId(id), id).toBe(false);
    }
    expect(isTransactionId("a".repeat(64))).toBe(true);
  });
});

describe("a fingerprint", () => {
  test("tells lists of parts apart that read the same together", async () => {
    const lists = [["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""], ["", "abc"], ["1:a"], ["a", "1:b"]];
    const found = await Promise.all(lists.map((parts) => fingerprint(webCrypto, ...parts)));
    expect(new Set(found).size).toBe(lists.length);
    for (const text of found) expect(text).toMatch(/^[0-9a-f]{32}$/);
  });

  test("is the same for the same parts, in every release: ids derive from it", async () => {
    const digest = createHash("sha256").update("1:a2:bc").digest("hex");
    expect(await fingerprint(webCrypto, "a", "bc")).toBe(digest.slice(0, 32));
  });
});

test("a token has 128 bits and letters that a header, a URL and a label take", () => {
  const tokens = new Set(Array.from({ length: 500 }, () => randomToken(webCrypto)));
  expect(tokens.size).toBe(500);
  for (const token of tokens) expect(token).toMatch(/^[\w-]{22}$/);
});

describe("base64url", () => {
  test("is what Buffer makes of the same bytes, and leads back to them", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        const text = toBase64Url(bytes);
        expect(text).toBe(Buffer.from(bytes).toString("base64url"));
        expect(fromBase64Url(text)).toEqual(bytes);
      }),
    );
  });

  test("is read in its one canonical form only", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12, unit: fc.constantFrom(...Array.from("AQgwBz09-_=+/ \n")) }), (text) => {
        const bytes = fromBase64Url(text);
        if (bytes !== undefined) expect(toBase64Url(bytes)).toBe(text);
      }),
      { numRuns: 2_000 },
    );
    for (const text of ["A", "AB", "AAB", "AA==", "AA+/", "A A", "AA\n", "ÄÄ"]) {
      expect(fromBase64Url(text), text).toBeUndefined();
    }
  });
});

test("hexadecimal and UTF-8 lengths are those of the bytes", () => {
  expect(toHex(new Uint8Array([0, 15, 16, 255]))).toBe("000f10ff");
  expect(utf8Length("aö€😀")).toBe(utf8("aö€😀").length);
  expect(utf8Length("\ud800")).toBe(3);
});

describe("a shard", () => {
  test("is constant, and within the count", () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 64 }), (id, count) => {
        const shard = shardOf(id, count);
        expect(shard).toBe(shardOf(id, count));
        expect(shard >= 0 && shard < count && Number.isInteger(shard)).toBe(true);
      }),
    );
    expect(["a", "b", "0197-tx"].map((id) => shardOf(id, 8))).toEqual([4, 5, shardOf("0197-tx", 8)]);
  });

  test("has its share of the ids", () => {
    const counts = Array.from({ length: 8 }, () => 0);
    for (let n = 0; n < 8_000; n++) counts[shardOf(transactionIdAt(1_800_000_000_000 + n, webCrypto), 8)]!++;
    for (const count of counts) {
      expect(count).toBeGreaterThan(800);
      expect(count).toBeLessThan(1_200);
    }
  });
});
