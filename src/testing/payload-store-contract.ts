import type { PayloadStore } from "../ports/payload-store.ts";
import { expectEqual } from "./assert.ts";
import type { ContractRunner } from "./contract.ts";
import { largeBody, LONG, PAST_SHORT, SHORT, TREACHEROUS_TEXTS } from "./samples.ts";

/** A payload store with what a suite may do to it from outside. */
export interface PayloadStoreUnderTest {
  /** The store, empty. */
  readonly store: PayloadStore;
  /** Lets so much time pass on the store's own clock; where it has `keepsMillis`, its end of things is not looked at. */
  advance(millis: number): Promise<void>;
  /** Ends the store and what it holds. */
  dispose(): Promise<void>;
}

const KEY = "019f3b2c-0001-7abc-8def-0123456789ab_0_0123456789abcdef0123456789abcdef_one";

/**
 * What every {@link PayloadStore} must do.
 *
 * `ends` says whether the store itself ends what has been kept long enough; without it, that is left to something else,
 * such as the rules of a bucket. @default true
 */
export function payloadStoreContract(
  runner: ContractRunner,
  make: () => Promise<PayloadStoreUnderTest>,
  { ends = true }: { readonly ends?: boolean } = {},
): void {
  const test = (name: string, run: (tested: PayloadStoreUnderTest) => Promise<void>): void => {
    runner.test(name, async () => {
      const tested = await make();
      try {
        await run(tested);
      } finally {
        await tested.dispose();
      }
    });
  };

  test("what is put is there, and nothing else", async ({ store }) => {
    expectEqual(await store.get(KEY), undefined, "before it is put");
    await store.put(KEY, '{"a":1}', LONG);
    expectEqual(await store.get(KEY), '{"a":1}', "the text");
    expectEqual(await store.get(KEY), '{"a":1}', "the text, read again");
    expectEqual(await store.get(`${KEY}x`), undefined, "another key");
    expectEqual(await store.get(KEY.slice(0, -1)), undefined, "a part of the key");
  });

  test("a text comes back to the letter", async ({ store }) => {
    for (const text of TREACHEROUS_TEXTS) {
      await store.put(KEY, text, LONG);
      expectEqual(await store.get(KEY), text, `the text ${JSON.stringify(text)}`);
    }
  });

  test("a text of a megabyte comes back to the letter", async ({ store }) => {
    const text = largeBody(1_000_000);
    await store.put(KEY, text, LONG);
    const found = await store.get(KEY);
    expectEqual(found?.length, text.length, "the length");
    expectEqual(found === text, true, "the same text");
  });

  test("a key of any allowed letter and length is its own", async ({ store }) => {
    const keys = ["a", "A", "0", "_", "-", "a_b", "a-b", "z".repeat(200), "z".repeat(199)];
    for (const key of keys) await store.put(key, `of ${key}`, LONG);
    for (const key of keys) expectEqual(await store.get(key), `of ${key}`, `the text under "${key.slice(0, 20)}"`);
  });

  test("a put that is sent again changes nothing, and one with another text replaces it", async ({ store }) => {
    await store.put(KEY, "one", LONG);
    await store.put(KEY, "one", LONG);
    expectEqual(await store.get(KEY), "one", "the text");
    await store.put(KEY, "two", LONG);
    expectEqual(await store.get(KEY), "two", "the later text");
  });

  test("what is deleted is gone, and may be deleted again and put again", async ({ store }) => {
    await store.put(KEY, "one", LONG);
    await store.put(`${KEY}x`, "another's", LONG);
    await store.delete(KEY);
    await store.delete(KEY);
    expectEqual(await store.get(KEY), undefined, "after its deletion");
    expectEqual(await store.get(`${KEY}x`), "another's", "what lies beside it");
    await store.put(KEY, "two", LONG);
    expectEqual(await store.get(KEY), "two", "put again");
  });

  if (!ends) return;

  test("what was kept long enough ends, and nothing sooner", async ({ store, advance }) => {
    await store.put(KEY, "short", SHORT);
    await store.put(`${KEY}x`, "long", LONG);
    await advance(PAST_SHORT);
    expectEqual(await store.get(KEY), undefined, "after its time");
    expectEqual(await store.get(`${KEY}x`), "long", "what is kept longer");
  });

  test("a put begins the time anew", async ({ store, advance }) => {
    await store.put(KEY, "text", SHORT);
    await store.put(KEY, "text", LONG);
    await advance(PAST_SHORT);
    expectEqual(await store.get(KEY), "text", "put again for longer");
  });

  test("years are a time like any other, and so is a fraction of a millisecond", async ({ store, advance }) => {
    await store.put(KEY, "text", 100 * 365 * 86_400_000);
    await store.put(`${KEY}x`, "text", 0.25);
    await advance(PAST_SHORT);
    expectEqual(await store.get(KEY), "text", "kept for a century");
    expectEqual(await store.get(`${KEY}x`), undefined, "kept for a moment");
  });
}
