import type { DeliveryRecord } from "../model/delivery.ts";
import type { LogReader, Page, PageOptions, UnsettledView } from "../ports/log-reader.ts";
import type { MemoryState, Unsettled } from "./state.ts";
import { compareDue, compareText } from "./transaction-log.ts";

const DEFAULT_LIMIT = 50;

/** Reads a memory store for people. */
export function memoryLogReader(state: MemoryState): LogReader {
  const unsettled = () => [...state.due.values()].sort(compareDue);
  const held = () => [...state.held.values()].sort((a, b) => compareText(a.key, b.key) || compareText(a.meta, b.meta));
  const dead = () => [...state.dead.values()].sort((a, b) => compareText(a.record.key, b.record.key));

  return {
    async transaction(transactionId) {
      const belongs = (record: DeliveryRecord) => record.transactionId === transactionId;
      const decision = state.decisions.get(transactionId);
      return {
        transactionId,
        ...(decision === undefined ? {} : { decision }),
        unsettled: unsettled()
          .filter((entry) => belongs(entry.record))
          .map(viewOf),
        held: held().filter(belongs),
        dead: dead().filter((letter) => belongs(letter.record)),
      };
    },

    async deadLetter(key) {
      return state.dead.get(key);
    },

    async listDead(page) {
      return pageAfter(dead(), page, (letter) => letter.record.key);
    },

    async listHeld(page) {
      return pageAfter(held(), page, (record) => record.key);
    },

    async listUnsettled(page) {
      const from = Number(page?.cursor ?? 0);
      const to = from + (page?.limit ?? DEFAULT_LIMIT);
      const all = unsettled();
      return { items: all.slice(from, to).map(viewOf), ...(to < all.length ? { cursor: String(to) } : {}) };
    },

    async counts() {
      return {
        unsettled: state.due.size,
        held: state.held.size,
        dead: state.dead.size,
        decisions: state.decisions.size,
      };
    },
  };
}

function viewOf({ record, mark, attempts, dueAt }: Unsettled): UnsettledView {
  return { record, mark, attempts, dueAt };
}

/** The part of a list that follows the key of the cursor, so that what leaves the list meanwhile shifts nothing. */
export function pageAfter<T>(sorted: readonly T[], page: PageOptions | undefined, keyOf: (item: T) => string): Page<T> {
  const { cursor, limit = DEFAULT_LIMIT } = page ?? {};
  const rest = cursor === undefined ? sorted : sorted.filter((item) => keyOf(item) > cursor);
  const items = rest.slice(0, limit);
  const last = items.at(-1);
  return rest.length > limit && last !== undefined ? { items, cursor: keyOf(last) } : { items };
}
