import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Facts } from "../../examples/shop/demo/facts.ts";
import { checkIdentities } from "../../examples/shop/demo/identities.ts";
import { readOptions, UsageError } from "../../examples/shop/demo/options.ts";
import { drawPlan } from "../../examples/shop/demo/plan.ts";
import type { OrderKind } from "../../examples/shop/demo/plan.ts";
import { findPostgres } from "../../examples/shop/demo/postgres.ts";
import type { SentMessage } from "../../examples/shop/demo/qstash-log.ts";
import type { Result } from "../../examples/shop/demo/run.ts";

const MAIN = fileURLToPath(new URL("../../examples/shop/demo/main.ts", import.meta.url));
const postgres = await findPostgres();
if (postgres === undefined) console.log("skipped: the demo on PostgreSQL, as PostgreSQL is not installed");

/** A folder for the demo's files. */
async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "aftercommit-demo-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  // A server that runs as another user finds its way through.
  await chmod(folder, 0o711);
  return folder;
}

/** Runs the demo with few orders, with its files in `folder`. */
async function runDemo(folder: string, ...flags: string[]): Promise<Result> {
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ["--conditions=aftercommit-source", MAIN, "--orders", "60", "--kills", "2", "--seed", "11", "--json", ...flags],
    { env: { PATH: process.env.PATH, TMPDIR: folder } },
  );
  expect(stderr).toBe("");
  return JSON.parse(stdout) as Result;
}

describe.each(["sqlite", "pglite", "postgres"] as const)("a small run of the demo on %s", (database) => {
  test.skipIf(database === "postgres" && postgres === undefined)(
    "holds every identity, has no order in doubt, loses, invents and doubles nothing, and leaves nothing behind",
    { timeout: 120_000 },
    async () => {
      const folder = await newFolder();
      const { figures, identities, ...rest } = await runDemo(folder, "--database", database);
      expect(identities.flatMap(({ offenders }) => offenders)).toEqual([]);
      expect(identities.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
      expect(rest).toEqual({ seed: 11, database, level: "barrier", holds: true });
      expect(figures).toMatchObject({
        ordersSent: 60,
        kills: 2,
        inDoubt: 0,
        lost: 0,
        phantoms: 0,
        effectsDoubled: 0,
        messagesPublished: 2 * figures.ordersCommitted,
        messagesDelivered: 2 * figures.ordersCommitted - figures.dead,
        effects: 2 * figures.ordersCommitted - figures.dead,
      });
      expect(figures.unanswered).toBeGreaterThan(0);
      expect(readdirSync(folder)).toEqual([]);
    },
  );
});

test("a small run of the demo at level checked holds every identity, and finds out what is in doubt", async () => {
  const folder = await newFolder();
  const { figures, identities, ...rest } = await runDemo(folder, "--level", "checked");
  expect(identities.flatMap(({ offenders }) => offenders)).toEqual([]);
  expect(identities.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(rest).toEqual({ seed: 11, database: "sqlite", level: "checked", holds: true });
  expect(figures).toMatchObject({ ordersSent: 60, kills: 2, lost: 0, phantoms: 0 });
  expect(figures.unanswered).toBeGreaterThan(0);
  expect(figures.messagesPublished).toBe(2 * figures.ordersCommitted);
  expect(readdirSync(folder)).toEqual([]);
}, 120_000);

/**
 * Facts of a run at level `checked` that went well: one order paid, one refused, one unanswered and written, one
 * unanswered and not, one poison.
 */
function checkedFacts(): Facts {
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
      placed(3, "paid", "written", "unanswered"),
      placed(4, "paid", "lost", "unanswered"),
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
    decisions: undefined,
    dead: [dead("receipt"), dead("stock")],
    counts: { unsettled: 0, held: 0, dead: 2, decisions: 5 },
    killedBoots: new Set(["1"]),
    consumersAtATime: 10,
  };
}

/** The same run at level `barrier`: no effect is repeated, and each order has its decision. */
function barrierFacts(): Facts {
  const facts = checkedFacts();
  const effects = facts.effects.filter(({ orderId, boot }) => orderId !== "order-written" || boot === "2");
  return { ...facts, effects, decisions: facts.orders.map(({ transactionId }) => transactionId) };
}

/** The numbers of the identities that do not hold, and who is named for it. */
function broken(change: (facts: Facts) => Partial<Facts>, facts = checkedFacts()): Record<number, readonly string[]> {
  const identities = checkIdentities({ ...facts, ...change(facts) });
  return Object.fromEntries(
    identities.filter(({ offenders }) => offenders.length > 0).map(({ number, offenders }) => [number, offenders]),
  );
}

test("sound facts hold every identity", () => {
  expect(broken(() => ({}))).toEqual({});
  expect(checkIdentities(checkedFacts()).map(({ figures }) => figures)).toEqual([
    "4 orders × 2 = 6 done + 2 dead",
    "8 messages and 7 effects, of 4 orders and no others",
    "3 answers whose order is there, 1 refusals whose order is not",
    "6 effects + 1 repeated, at most 1 kills × 10 consumers at a time = 10",
    "2 unanswered = 1 written and sent + 1 neither",
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

test("an unanswered order that was written and not sent is named", () => {
  expect(broken(({ effects }) => ({ effects: effects.filter((one) => one.messageId !== "tx-written_0") }))).toEqual({
    1: [
      "order order-written (transaction tx-written) never reached receipt",
      "order order-written (transaction tx-written) never reached stock",
    ],
    5: ["written has the order order-written, and its message never reached receipt and stock"],
  });
});

test("an unanswered order that was sent and not written is named", () => {
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

test("sound facts at level barrier hold every identity", () => {
  expect(broken(() => ({}), barrierFacts())).toEqual({});
  const figures = checkIdentities(barrierFacts()).map((identity) => identity.figures);
  expect(figures[3]).toBe("6 effects of 6 deliveries");
  expect(figures[7]).toBe("4 orders, 4 decisions");
});

test("at level barrier an effect that is repeated after a kill is named", () => {
  const { effects } = checkedFacts();
  expect(broken(() => ({ effects }), barrierFacts())).toEqual({
    4: ["message tx-written_0 at receipt had its effect 2 times"],
  });
});

test("an order without its decision, and a decision without its order, are named", () => {
  expect(broken(({ decisions }) => ({ decisions: [...decisions!.slice(1), "tx-lost"] }), barrierFacts())).toEqual({
    8: [
      "order order-paid (transaction tx-paid) is there without a decision",
      "transaction tx-lost is decided without its order",
    ],
  });
});

test("what is left to be done is named", () => {
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
  expect(() => readOptions(["--database", "oracle"])).toThrow(
    '--database: expected sqlite, pglite, postgres, found "oracle"',
  );
  expect(() => readOptions(["--level", "checked", "--database", "pglite"])).toThrow(
    '--level checked: expected --database sqlite, found "pglite"',
  );
});
