import { describe, expect, test } from "vitest";
import { askDatabase, askInbox, askInTime, askLog, askReader, askTransport } from "../../../src/core/ask.ts";
import type { Core } from "../../../src/core/core.ts";
import { TransactionStateError } from "../../../src/errors.ts";
import { serviceOf } from "../../races/race.ts";
import { world } from "../../support/world.ts";

type Ask = (core: Core, what: string, call: () => Promise<unknown>) => Promise<unknown>;

const LIMITS = { storeTimeoutMillis: 1_000, transportTimeoutMillis: 2_000, databaseTimeoutMillis: 3_000 };

describe.each<[name: string, ask: Ask, code: string, millis: number]>([
  ["the log", askLog, "ERR_LOG_UNAVAILABLE", 1_000],
  ["the log, for people", askReader, "ERR_LOG_UNAVAILABLE", 10_000],
  ["the inbox", askInbox, "ERR_INBOX_UNAVAILABLE", 1_000],
  ["the transport", askTransport, "ERR_TRANSPORT_UNAVAILABLE", 2_000],
  ["a database", askDatabase, "ERR_DATABASE_UNAVAILABLE", 3_000],
  ["a check", askInTime, "ERR_LOG_UNAVAILABLE", 2_000],
])("a call of %s", (_name, ask, code, millis) => {
  const setUp = () => {
    const w = world();
    const { core } = serviceOf(w, {});
    return { w, core: { ...core, settings: { ...core.settings, ...LIMITS } } };
  };

  test("brings its answer, and leaves no timer behind", async () => {
    const { w, core } = setUp();
    expect(await ask(core, "it to answer", async () => 7)).toBe(7);
    expect(w.clock.sleepers).toBe(0);
  });

  test("that takes longer than its limit is given up then, and not before", async () => {
    const { w, core } = setUp();
    let error: unknown;
    const asked = ask(core, "it to answer", () => new Promise(() => undefined)).catch((thrown: unknown) => {
      error = thrown;
    });
    await w.clock.advance(millis - 1);
    expect(error).toBeUndefined();
    await w.clock.advance(1);
    await asked;
    expect(error).toMatchObject({ code, retryable: true, hint: expect.any(String) });
  });

  test("that fails is unavailable, with its cause; an error of ours comes through as it is", async () => {
    const { core } = setUp();
    const cause = new Error("ECONNRESET");
    const failing = ask(core, "it to answer", () => Promise.reject(cause));
    await expect(failing).rejects.toMatchObject({ code, cause, hint: expect.any(String) });
    const own = new TransactionStateError("Expected one thing, found another.", { hint: "Wait." });
    await expect(ask(core, "it to answer", () => Promise.reject(own))).rejects.toBe(own);
  });
});
