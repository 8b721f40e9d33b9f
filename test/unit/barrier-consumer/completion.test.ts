import { describe, expect, test } from "vitest";
import { topic } from "aftercommit";
import * as z from "zod/mini";
import { act, consumingWorld, INBOXES } from "../../support/barrier-consumer-world.ts";
import type { ConsumingWorld, InboxKind } from "../../support/barrier-consumer-world.ts";
import { faulty, gate, orderPaid, settled } from "../../support/world.ts";

const printed = topic("receipt.printed", z.object({ orderId: z.string() }));
const torn = topic("receipt.torn", z.object({ orderId: z.string() }));
const routes = { [printed.name]: "/consumers/p", [torn.name]: "/consumers/t", [orderPaid.name]: "/consumers/receipt" };
type Handler = Parameters<ConsumingWorld["receipts"]>[1];

const decisions = (w: ConsumingWorld) => w.main.snapshot().filter(([key]) => key.startsWith("decision/"));
const failing = () => Promise.reject(new Error("the paper is torn"));

describe.each(INBOXES)("a consumer with a database whose inbox is %s", (inbox) => {
  const receipts = (w: ConsumingWorld, handler: Handler) => w.receipts(inbox, handler, {}, { routes });

  test("is told of as having consumed, and then as having found a duplicate, with its work or without", async () => {
    for (const handler of [(message) => message.run("main", act), () => "nothing to write"] satisfies Handler[]) {
      const w = consumingWorld();
      const service = receipts(w, handler);
      expect((await w.arrive(service, { attempt: 2 })).body).toMatchObject({ duplicate: false });
      expect((await w.arrive(service)).body).toMatchObject({ duplicate: true });
      expect(w.of("consumed")).toMatchObject([{ messageId: "message-1", attempt: 2 }]);
      expect(w.of("duplicate")).toMatchObject([{ messageId: "message-1" }]);
      expect(w.of("background")).toEqual([]);
    }
  });

  test("that neither works nor publishes writes no decision", async () => {
    const w = consumingWorld();
    expect((await w.arrive(receipts(w, () => "seen"))).status).toBe(200);
    expect(decisions(w)).toEqual([]);
  });

  test("that lost its lease and did nothing is asked to come again", async () => {
    const w = consumingWorld();
    const { passed, open } = gate();
    let runs = 0;
    const service = receipts(w, async () => (++runs === 1 ? passed : undefined));
    const late = w.post1(service.app);
    await settled();
    await w.lapse();
    expect((await w.arrive(service)).status).toBe(200);
    open();
    expect((await late).status).toBe(503);
    expect(w.of("leaseLost")).toHaveLength(1);
    expect(w.of("consumed")).toHaveLength(1);
  });

  test("that hides that it came too late is asked for again, and its message is not done", async () => {
    const w = consumingWorld();
    const service = receipts(w, async (message) => {
      await message.tx.publish(torn, message.data, { on: "rollback" });
      await w.main.barrier.rollBack(message.tx.id, w.clock.now(), 0);
      await message.run("main", act).catch(() => undefined);
    });
    expect((await w.arrive(service)).status).toBe(500);
    expect(w.effects()).toBe(0);
    expect((await w.arrive(receipts(w, (message) => message.run("main", act)))).body).toMatchObject({
      duplicate: false,
    });
    expect(w.effects()).toBe(1);
  });

  test("that hides a rollback and publishes for a commit after it is asked for again: nothing would carry that", async () => {
    const w = consumingWorld();
    const service = receipts(w, async (message) => {
      await message.tx.publish(torn, message.data, { on: "rollback" });
      await message.run("main", failing).catch(() => undefined);
      await message.tx.publish(printed, message.data);
    });
    expect((await w.arrive(service)).status).toBe(500);
    expect(w.sent()).toEqual([torn.name]);
  });

  test("that hides a rollback is told of as having consumed, once it was decided that its work is undone", async () => {
    const w = consumingWorld();
    const service = receipts(w, async (message) => {
      await message.tx.publish(torn, message.data, { on: "rollback" });
      await message.run("main", failing).catch(() => undefined);
      return "undone";
    });
    expect(await w.arrive(service)).toMatchObject({ status: 200, body: { duplicate: false, outcome: "undone" } });
    expect(w.events.map(({ type }) => type)).toContain("consumed");
    expect(w.of("decided")).toMatchObject([{ verdict: "rolledBack", by: "request" }]);
    expect((await w.arrive(service)).body).toMatchObject({ duplicate: true });
    expect(w.sent()).toEqual([torn.name]);
  });

  test("that hides a rollback which cannot be decided yet is asked for again", async () => {
    const w = consumingWorld();
    const database = { ...w.main, barrier: { ...w.main.barrier, rollBack: async () => undefined } };
    const handler: Handler = async (message) => {
      await message.tx.publish(torn, message.data, { on: "rollback" });
      await message.run("main", failing).catch(() => undefined);
    };
    const service = w.receipts(inbox, handler, {}, { routes, databases: { main: database } });
    expect((await w.arrive(service)).status).toBe(500);
    expect(w.of("consumed")).toEqual([]);
    expect((await w.arrive(receipts(w, () => "seen"))).body).toMatchObject({ duplicate: false });
  });
});

test("a store that cannot be told that a message is done is told of, and the message is done", async () => {
  const w = consumingWorld();
  const log = faulty(w.store, (name) => (name === "inbox.complete" ? "unreachable" : "none"));
  const kind: InboxKind = "a store";
  const service = w.receipts(kind, (message) => message.run("main", act), {}, { log });
  expect((await w.arrive(service)).status).toBe(200);
  expect(w.of("background")).toHaveLength(1);
  expect(w.effects()).toBe(1);
});
