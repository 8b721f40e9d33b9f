import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import type { Facts } from "../../examples/shop/demo/facts.ts";
import { checkIdentities } from "../../examples/shop/demo/identities.ts";
import { readOptions, UsageError } from "../../examples/shop/demo/options.ts";
import { drawPlan } from "../../examples/shop/demo/plan.ts";
import type { OrderKind } from "../../examples/shop/demo/plan.ts";
import type { SentMessage } from "../../examples/shop/demo/qstash-log.ts";
import type { Result } from "../../examples/shop/demo/run.ts";

const MAIN = fileURLToPath(new URL("../../examples/shop/demo/main.ts", import.meta.url));
const CLAIMS = 7;

test("a small run of the demo holds every identity, and leaves nothing behind", { timeout: 120_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "aftercommit-demo-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ["--conditions=aftercommit-source", MAIN, "--orders", "60", "--kills", "2", "--seed", "11", "--json"],
    { env: { PATH: process.env.PATH, TMPDIR: folder } },
  );
  expect(stderr).toBe("");
  const { seed, holds, figures, identities } = JSON.parse(stdout) as Result;
  expect(identities.flatMap(({ offenders }) => offenders)).toEqual([]);
  expect(identities.map(({ number }) => number)).toEqual(Array.from({ length: CLAIMS }, (_, i) => i + 1));
  expect({ seed, holds }).toEqual({ seed: 11, holds: true });
  expect(figures).toMatchObject({ ordersSent: 60, kills: 2 });
  expect(figures.inDoubt).toBeGreaterThan(0);
  expect(figures.messagesPublished).toBe(2 * figures.ordersCommitted);
  expect(readdirSync(folder)).toEqual([]);
});

/** Facts of a run that went well: one order paid, one refused, one in doubt and written, one in doubt and not, one poison. */
function soundFacts(): Facts {
  const order = (item: string) => ({ id: `order-${item}`, transactionId: `tx-${item}`, item });
  const placed = (number: number, kind: OrderKind, item: string, reply: Facts["placed"][number]["reply"]) => ({
    order: { number, kind, item, cents: 100 },
    reply,
  });
  const accepted = (item: string) => ({
    status: 201,
    body: JSON.stringify({ orderId: `order-${item}`, transactionId: `tx-${item}` }),
  });
  const message = (item: string, consumer: string, rest: Partial<SentMessage> = {}): SentMessage => ({
    transactionId: `tx-${item}`,
    messageId: `tx-${item}_0`,
    consumer,
    orderId: `order-${item}`,
    item,
    delivered: true,
    failed: false,
    retries: 0,
    unanswered: 0,
    ...rest,
  });
  const effect = (item: string, consumer: string, boot: string) => ({
    consumer,
    messageId: `tx-${item}_0`,
    orderId: `order-${item}`,
    boot,
  });
  const dead = (consumer: string) => ({
    key: `tx-poison_0_${consumer}`,
    transactionId: "tx-poison",
    consumer,
    reason: "failed",
    detail: "nobody can handle it",
  });
  return {
    placed: [
      placed(1, "paid", "paid", accepted("paid")),
      placed(2, "refused", "refused", { status: 402, body: JSON.stringify({ transactionId: "tx-refused" }) }),
      placed(3, "paid", "written", "in doubt"),
      placed(4, "paid", "lost", "in doubt"),
      placed(5, "poison", "poison", accepted("poison")),
      placed(6, "throws", "throws", { status: 500, body: "the printer is on fire" }),
    ],
    orders: ["paid", "written", "poison", "throws"].map(order),
    effects: [
      effect("paid", "receipt", "1"),
      effect("paid", "stock", "1"),
      effect("written", "receipt", "1"),
      effect("written", "receipt", "2"),
      effect("written", "stock", "2"),
      effect("throws", "receipt", "2"),
      effect("throws", "stock", "2"),
    ],
    messages: [
      ...["paid", "throws"].flatMap((item) => [message(item, "receipt"), message(item, "stock")]),
      message("written", "receipt", { retries: 1, unanswered: 1 }),
      message("written", "stock"),
      message("poison", "receipt", { delivered: false, failed: true }),
      message("poison", "stock", { delivered: false, failed: true }),
    ],
    dead: [dead("receipt"), dead("stock")],
    counts: { unsettled: 0, held: 0, dead: 2, decisions: 5 },
    killedBoots: new Set(["1"]),
    consumersAtATime: 10,
  };
}

/** The numbers of the identities that do not hold, and who is named for it. */
function broken(change: (facts: Facts) => Partial<Facts>): Record<number, readonly string[]> {
  const facts = soundFacts();
  const identities = checkIdentities({ ...facts, ...change(facts) });
  return Object.fromEntries(
    identities.filter(({ offenders }) => offenders.length > 0).map(({ number, offenders }) => [number, offenders]),
  );
}

test("sound facts hold every identity", () => {
  expect(broken(() => ({}))).toEqual({});
  expect(checkIdentities(soundFacts()).map(({ figures }) => figures)).toEqual([
    "4 orders × 2 = 6 done + 2 dead",
    "8 messages and 7 effects, of 4 orders and no others",
    "3 answers whose order is there, 1 refusals whose order is not",
    "6 effects + 1 repeated, at most 1 kills × 10 consumers at a time = 10",
    "2 in doubt = 1 written and sent + 1 neither",
    "2 dead: failed (nobody can handle it)",
    "0 unsettled, 0 held",
  ]);
});

test("a delivery without an effect is named", () => {
  expect(
    broken(({ effects }) => ({
      effects: effects.filter((one) => one.messageId !== "tx-paid_0" || one.consumer !== "stock"),
    })),
  ).toEqual({ 1: ["order order-paid (transaction tx-paid) never reached stock"] });
});

test("a delivery that QStash never saw arrive is named", () => {
  expect(
    broken(({ messages }) => ({
      messages: messages.filter((one) => one.item !== "throws" || one.consumer !== "receipt"),
    })),
  ).toEqual({ 1: ["order order-throws (transaction tx-throws) never reached receipt"] });
});

test("a message of a transaction without an order is named", () => {
  const { 2: offenders } = broken(({ messages }) => ({
    messages: [...messages, { ...messages[0]!, transactionId: "tx-refused", item: "refused" }],
  }));
  expect(offenders).toEqual(["transaction tx-refused sent a message to receipt"]);
});

test("an effect without an order is named", () => {
  const { 2: offenders } = broken(({ effects }) => ({
    effects: [...effects, { consumer: "stock", messageId: "tx-lost_0", orderId: "order-lost", boot: "2" }],
  }));
  expect(offenders).toEqual(["message tx-lost_0 had an effect at stock (order order-lost)"]);
});

test("an accepted order that is not in the database is named", () => {
  const { 3: offenders } = broken(({ orders }) => ({ orders: orders.filter(({ item }) => item !== "paid") }));
  expect(offenders).toEqual(["paid was answered, and its order order-paid is not there"]);
});

test("an accepted order that is in the database under another id is named", () => {
  const { 3: offenders } = broken(({ orders }) => ({
    orders: orders.map((order) => (order.item === "paid" ? { ...order, id: "order-other" } : order)),
  }));
  expect(offenders).toEqual(["paid was answered with order order-paid, and is there as order-other"]);
});

test("a refused order that is in the database is named", () => {
  const { 3: offenders } = broken(({ orders }) => ({
    orders: [...orders, { id: "order-refused", transactionId: "tx-refused", item: "refused" }],
  }));
  expect(offenders).toEqual(["refused was refused (transaction tx-refused), and its order is there"]);
});

test("an effect that one start of the shop repeats is named", () => {
  const { 4: offenders } = broken(({ effects }) => ({ effects: [...effects, effects[0]!] }));
  expect(offenders).toContain("message tx-paid_0 at receipt had its effect twice in one start of the shop");
});

test("an effect that is repeated after a start that was not killed is named", () => {
  expect(broken(() => ({ killedBoots: new Set(["2"]) }))).toEqual({
    4: ["message tx-written_0 at receipt was repeated after start 1, which was not killed"],
  });
});

test("an effect that is repeated although its run was not cut off is named", () => {
  expect(broken(({ messages }) => ({ messages: messages.map((message) => ({ ...message, unanswered: 0 })) }))).toEqual({
    4: ["message tx-written_0 at receipt was repeated although no run of it was cut off"],
  });
});

test("more repeated effects than kills can have cut off are counted", () => {
  expect(broken(() => ({ consumersAtATime: 0 }))).toEqual({ 4: ["1 effects were repeated, more than 0"] });
});

test("an order in doubt that was written and not sent is named", () => {
  expect(broken(({ effects }) => ({ effects: effects.filter((one) => one.messageId !== "tx-written_0") }))).toEqual({
    1: [
      "order order-written (transaction tx-written) never reached receipt",
      "order order-written (transaction tx-written) never reached stock",
    ],
    5: ["written has the order order-written, and its message never reached receipt and stock"],
  });
});

test("an order in doubt that was sent and not written is named", () => {
  const { 5: offenders } = broken(({ messages }) => ({
    messages: [...messages, { ...messages[0]!, transactionId: "tx-lost", item: "lost" }],
  }));
  expect(offenders).toEqual(["lost has no order, and transaction tx-lost sent its message"]);
});

test("a poison delivery that is not listed as dead is named", () => {
  const { 6: offenders } = broken(({ dead }) => ({ dead: dead.slice(1) }));
  expect(offenders).toEqual(["receipt tx-poison is not listed as dead"]);
});

test("a dead delivery of another order is named with its reason", () => {
  expect(
    broken(({ dead }) => ({
      dead: [
        ...dead,
        { ...dead[0]!, key: "tx-paid_0_receipt", transactionId: "tx-paid", detail: "connection refused" },
      ],
    })),
  ).toEqual({ 6: ["tx-paid_0_receipt to receipt is dead: failed (connection refused)"] });
});

test("a dead delivery without a reason is named", () => {
  expect(broken(({ dead }) => ({ dead: [dead[0]!, { ...dead[1]!, detail: "" }] }))).toEqual({
    6: ["tx-poison_0_stock is dead and does not say why"],
  });
});

test("a log that is not empty is named", () => {
  expect(broken(({ counts }) => ({ counts: { ...counts, unsettled: 3, held: 1 } }))).toEqual({
    7: ["3 deliveries are unsettled", "1 deliveries are held"],
  });
});

test("the same seed draws the same plan, with one poison before the first kill", () => {
  const plan = drawPlan(42, 300, 5);
  expect(drawPlan(42, 300, 5)).toEqual(plan);
  expect(drawPlan(43, 300, 5)).not.toEqual(plan);
  const poisons = plan.orders.filter(({ kind }) => kind === "poison");
  expect(poisons).toHaveLength(1);
  expect(poisons[0]!.number).toBeLessThan(plan.kills[0]!.afterOrders);
  expect(plan.kills.map(({ afterOrders }) => afterOrders)).toEqual(
    plan.kills.map(({ afterOrders }) => afterOrders).sort((a, b) => a - b),
  );
  expect(plan.kills.at(-1)!.afterOrders).toBeLessThanOrEqual(300);
});

test("a flag that cannot be used is refused with what was expected", () => {
  expect(() => readOptions(["--orders", "many"])).toThrow(UsageError);
  expect(() => readOptions(["--orders", "100", "--kills", "11"])).toThrow(
    '--kills: expected a whole number from 0 to 10, found "11"',
  );
  expect(() => readOptions(["--fast"])).toThrow(UsageError);
});
