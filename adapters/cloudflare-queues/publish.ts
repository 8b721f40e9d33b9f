import { utf8Length } from "../../src/model/bytes.ts";
import type { DispatchResult } from "../../src/ports/transport.ts";
import type { QueueLike, QueueSendLike } from "./bindings.ts";
import { MAX_BATCH_BYTES, MAX_BATCH_MESSAGES } from "./limits.ts";

/** A message on its way, and its place among the results. */
export interface Outgoing {
  readonly message: QueueSendLike;
  readonly index: number;
}

const ACCEPTED: DispatchResult = { status: "accepted", deduplicated: false };
/** By these words a queue says that it will never take something as it is; the bindings' errors carry no status. */
const REFUSING = /\b(payload too large|bad request|exceeds limit|too large)\b/i;
const MAX_REASON = 300;

/**
 * Sends messages to one queue, in as few batches as its limits allow, one after the other. A batch is taken or refused as
 * a whole: one that is refused for what is in it is divided until what is at fault stands alone; any other failure is
 * a failure of each of its messages, to be sent again later.
 *
 * Resolves to a result for each index; never rejects.
 */
export async function sendAll(
  queue: QueueLike,
  outgoing: readonly Outgoing[],
): Promise<ReadonlyMap<number, DispatchResult>> {
  const results = new Map<number, DispatchResult>();
  const batches = batchesOf(outgoing);
  for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) {
    try {
      await queue.sendBatch(batch.map(({ message }) => message));
      for (const { index } of batch) results.set(index, ACCEPTED);
    } catch (error) {
      const said = (error instanceof Error ? error.message : "an unknown error")
        .replace(/\s+/g, " ")
        .slice(0, MAX_REASON);
      const reason = `the queue answered: ${said}`;
      if (REFUSING.test(said) && batch.length > 1) {
        const half = Math.ceil(batch.length / 2);
        batches.unshift(batch.slice(0, half), batch.slice(half));
        continue;
      }
      const result: DispatchResult = REFUSING.test(said) ? { status: "refused", reason } : { status: "retry", reason };
      for (const { index } of batch) results.set(index, result);
    }
  }
  return results;
}

function batchesOf(outgoing: readonly Outgoing[]): (readonly Outgoing[])[] {
  const batches: Outgoing[][] = [];
  let bytes = 0;
  for (const item of outgoing) {
    const size = utf8Length(item.message.body);
    const last = batches.at(-1);
    if (last === undefined || last.length === MAX_BATCH_MESSAGES || bytes + size > MAX_BATCH_BYTES) {
      batches.push([item]);
      bytes = size;
    } else {
      last.push(item);
      bytes += size;
    }
  }
  return batches;
}
