import { describe, expect, test, vi } from "vitest";
import { memoryDatabase, memoryStore } from "aftercommit/memory";
import type { Core } from "../../../src/core/core.ts";
import { logOf, readableInboxes, transactionIdBeside } from "../../../src/core/core.ts";
import { databaseInbox, withDatabase } from "../../../src/core/databases.ts";
import { ConfigurationError } from "../../../src/errors.ts";
import { settled, world } from "../../support/world.ts";

/** The parts of a core that a use of databases needs. */
function registry(entries: Record<string, () => unknown> = {}) {
  const emit = vi.fn();
  return { emit, databases: new Map(Object.entries(entries)) as ReadonlyMap<string, unknown> as Core["databases"] };
}

describe("a business database", () => {
  test("that is not registered is told of with the names of those that are", async () => {
    const used = (names: readonly string[]) =>
      withDatabase(registry(Object.fromEntries(names.map((name) => [name, () => undefined]))), "other", async () => 1);
    await expect(used(["main", "archive"])).rejects.toMatchObject({
      problems: [{ path: "databases.other", found: '"main", "archive"' }],
    });
    await expect(used([])).rejects.toMatchObject({ problems: [{ path: "databases.other", found: "none at all" }] });
  });

  test("that cannot be opened is unavailable; what is wrong with its configuration comes through", async () => {
    const cause = new Error("ECONNREFUSED");
    const fails = (error: unknown) =>
      withDatabase(
        registry({
          main: async () => {
            throw error;
          },
        }),
        "main",
        async () => 1,
      );
    await expect(fails(cause)).rejects.toMatchObject({ code: "ERR_DATABASE_UNAVAILABLE", cause });
    const wrong = new ConfigurationError([]);
    await expect(fails(wrong)).rejects.toBe(wrong);
  });

  test("that was opened for one use is closed after it, whatever becomes of either", async () => {
    const error = new Error("already closed");
    const close = vi.fn(() => Promise.reject(error));
    const core = registry({ main: () => ({ close }) });
    expect(await withDatabase(core, "main", async () => 7)).toBe(7);
    await expect(withDatabase(core, "main", () => Promise.reject(new Error("work")))).rejects.toThrow("work");
    await settled();
    expect(close).toHaveBeenCalledTimes(2);
    expect(core.emit.mock.calls).toEqual([[{ type: "background", error }], [{ type: "background", error }]]);
  });

  test("is an inbox like any other", async () => {
    const { inbox } = memoryDatabase();
    const own = databaseInbox(registry({ main: () => ({ inbox }) }), "main");
    const claim = { consumer: "receipt", messageId: "m1", token: "t1" };
    expect(await own.claim(claim, 60_000)).toEqual({ state: "claimed" });
    expect(await own.renew(claim, 60_000)).toBe(true);
    expect(await own.renew({ ...claim, token: "t2" }, 60_000)).toBe(false);
    expect(await own.look(claim)).toEqual({ state: "leased", token: "t1" });
    await own.release(claim);
    expect(await own.look(claim)).toEqual({ state: "new" });
    await own.claim(claim, 60_000);
    expect(await own.complete(claim, { outcome: "1", retentionMillis: 60_000 })).toBe("completed");
    expect(await own.look(claim)).toEqual({ state: "done" });
  });
});

test("the inboxes that can be looked into are the service's own and the log's, each once", () => {
  const [store, other] = [memoryStore(), memoryStore()];
  expect(readableInboxes({ store, inbox: store.inbox })).toEqual([store.inbox]);
  expect(readableInboxes({ store, inbox: other.inbox })).toEqual([other.inbox, store.inbox]);
  expect(readableInboxes({ store: undefined, inbox: other.inbox })).toEqual([other.inbox]);
  expect(readableInboxes({ store, inbox: undefined })).toEqual([store.inbox]);
  expect(readableInboxes({ store: undefined, inbox: undefined })).toEqual([]);
  const { look: _look, ...closed } = other.inbox;
  expect(readableInboxes({ store, inbox: closed })).toEqual([store.inbox]);
});

test("a log that is needed and not there is a problem of the configuration", () => {
  expect(() => logOf({ store: undefined })).toThrowError(
    expect.objectContaining({ problems: [expect.objectContaining({ path: "log", found: "nothing" })] }),
  );
  const store = memoryStore();
  expect(logOf({ store })).toBe(store);
});

test("an id beside another one lies in the same part of the store", () => {
  const { clock, crypto } = world();
  const store = memoryStore({ clock, shards: 8 });
  for (let n = 0; n < 20; n++) {
    const id = `tx-${n}`;
    expect(store.shardOf(transactionIdBeside({ clock, crypto }, store, id))).toBe(store.shardOf(id));
  }
});
