import { utf8Length } from "../../src/model/bytes.ts";
import type { DispatchResult } from "../../src/ports/transport.ts";
import { batchItem, publishAlone, publishBatch, resultOfAnswer } from "./calls.ts";
import type { QStashClientLike } from "./client.ts";
import { isFields, textField } from "./json.ts";
import { destinationProblem } from "./publication.ts";
import type { Publication } from "./publication.ts";
import { mayBeOneItem, resultOf, statusOf } from "./refusal.ts";

/** The largest batch, in bytes; QStash takes 100 MB in one call. */
const MAX_BATCH_BYTES = 90_000_000;
/** Calls at a time. */
const MAX_CALLS = 8;
/** Into how many parts a batch is divided that was refused as a whole. */
const PARTS = 8;

/** A message on its way. */
interface Item {
  readonly publication: Publication;
  /** The message as an item of a batch, in JSON. */
  readonly text: string;
  /** Its place among the results. */
  readonly index: number;
}

/** What one call is to carry; a parcel `alone` holds one item, and goes by a call whose answer has a status. */
interface Parcel {
  readonly items: readonly Item[];
  readonly alone: boolean;
}

/**
 * Publishes everything in one batch, but for what exceeds {@link MAX_BATCH_BYTES}. An item that a batch reports an error
 * for is published again alone, since only that answer has a status; a batch that is refused as a whole, perhaps for one
 * item, is divided until that item stands alone. Deduplication makes repeating the others harmless.
 *
 * One result for each publication, in order; never rejects.
 */
export async function publishAll(
  client: QStashClientLike,
  publications: readonly Publication[],
  now: () => number,
): Promise<readonly DispatchResult[]> {
  const results: DispatchResult[] = [];
  const items: Item[] = [];
  for (const [index, publication] of publications.entries()) {
    const problem = destinationProblem(publication.destination);
    if (problem === undefined) items.push({ publication, text: batchItem(client, publication), index });
    else results[index] = { status: "refused", reason: `the destination: ${problem}` };
  }

  const sendAlone = async ({ publication, index }: Item): Promise<void> => {
    try {
      results[index] = resultOfAnswer(await publishAlone(client, publication));
    } catch (error) {
      results[index] = resultOf(error, now());
    }
  };

  /** Resolves to what has to be sent again in other parcels. */
  const sendBatch = async (batch: readonly Item[]): Promise<readonly Parcel[]> => {
    const settle = (result: DispatchResult): readonly Parcel[] => {
      for (const { index } of batch) results[index] = result;
      return [];
    };
    let answers: unknown;
    try {
      answers = await publishBatch(
        client,
        batch.map(({ text }) => text),
      );
    } catch (error) {
      return mayBeOneItem(statusOf(error)) ? divide(batch) : settle(resultOf(error, now()));
    }
    if (!Array.isArray(answers) || answers.length !== batch.length) {
      const found = Array.isArray(answers) ? `${answers.length}` : "another answer";
      return settle({ status: "retry", reason: `expected ${batch.length} results of QStash, found ${found}` });
    }
    const again: Parcel[] = [];
    for (const [place, item] of batch.entries()) {
      const answer: unknown = answers[place];
      if (isFields(answer) && textField(answer, "error") !== undefined) again.push({ items: [item], alone: true });
      else results[item.index] = resultOfAnswer(answer);
    }
    return again;
  };

  let parcels = batchesOf(items);
  while (parcels.length > 0) {
    const again: Parcel[] = [];
    await inTurns(parcels, async ({ items: carried, alone }) => {
      if (alone) await sendAlone(carried[0]!);
      else again.push(...(await sendBatch(carried)));
    });
    parcels = again;
  }
  return results;
}

function batchesOf(items: readonly Item[]): readonly Parcel[] {
  const batches: Item[][] = [];
  let bytes = MAX_BATCH_BYTES;
  for (const item of items) {
    const size = utf8Length(item.text) + 1;
    if (bytes + size > MAX_BATCH_BYTES) {
      batches.push([]);
      bytes = 1;
    }
    batches.at(-1)!.push(item);
    bytes += size;
  }
  return batches.map((batch) => ({ items: batch, alone: false }));
}

function divide(batch: readonly Item[]): readonly Parcel[] {
  const size = Math.ceil(batch.length / PARTS);
  const parcels: Parcel[] = [];
  for (let from = 0; from < batch.length; from += size) {
    const items = batch.slice(from, from + size);
    parcels.push({ items, alone: items.length === 1 });
  }
  return parcels;
}

/** Runs `task` for each item, {@link MAX_CALLS} at a time. */
async function inTurns<T>(items: readonly T[], task: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) await task(item);
  };
  await Promise.all(Array.from({ length: Math.min(MAX_CALLS, items.length) }, worker));
}
