import { expect } from "vitest";
import { orderLogged, receiptSent } from "./barrier-crash-world.ts";
import type { BarrierWorld, Receipt } from "./barrier-crash-world.ts";
import { orderFailed, orderPaid } from "./crash-world.ts";

/** The invariants of the design that hold for any transaction, once everything has settled. */
export async function expectInvariants(world: BarrierWorld): Promise<void> {
  const { ledger, transport, verdicts } = world;
  for (const [id, seen] of verdicts) expect([...seen], `the decision of ${id} never changes`).toHaveLength(1);

  const directions = new Map<string, Set<string>>();
  const sent = new Set<string>();
  for (const { record } of transport.accepted) {
    directions.set(record.transactionId, (directions.get(record.transactionId) ?? new Set()).add(record.on));
    sent.add(`${record.destination.split("/").at(-1)} ${record.messageId}`);
  }
  for (const [id, both] of directions) expect([...both], `${id} never goes both directions`).toHaveLength(1);

  const effects = ledger.effects();
  for (const [key, times] of effects) {
    expect(times, `"${key}" happened once`).toBe(1);
    expect(sent.has(key), `"${key}" was sent`).toBe(true);
  }
}

/** Sent if, and only if, the order is there; each message that was sent has acted. */
export function expectOutcome(world: BarrierWorld, receipt: Receipt = "runs"): void {
  const { ledger, transport, told } = world;
  const written = ledger.orders();
  expect(written.length).toBeLessThanOrEqual(1);
  if (told.outcome !== undefined)
    expect(written.length, `the handler was told "${told.outcome}"`).toBe(told.outcome === "committed" ? 1 : 0);

  const sent = (topic: string) => transport.accepted.filter(({ record }) => record.topic === topic).length;
  expect(sent(orderPaid.name), "both destinations or none").toBe(2 * written.length);
  expect(sent(orderLogged.name), "what was published inside of the work").toBe(written.length);
  if (written.length === 1) expect(sent(orderFailed.name), "committed: no compensation").toBe(0);
  else if (told.registered) expect(sent(orderFailed.name), "rolled back: what was registered for that").toBe(1);

  const acted = (consumer: string) =>
    [...ledger.effects().keys()].filter((key) => key.startsWith(`${consumer} `)).length;
  expect(acted("receipt")).toBe(receipt === "publishes only" ? 0 : written.length);
  expect([acted("stock"), acted("log")]).toEqual([written.length, written.length]);
  expect(acted("failed")).toBe(sent(orderFailed.name));
  expect(sent(receiptSent.name), "a consumer's own message goes out with its effect").toBe(written.length);
  expect(acted("archive")).toBe(written.length);
}
