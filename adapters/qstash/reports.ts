import { OperationError } from "../../src/errors.ts";
import type { DeliveryOutcome, DeliveryReports } from "../../src/ports/transport.ts";
import type { QStashClientLike } from "./client.ts";
import { letterOfEntry } from "./dead-letter.ts";
import { field, isFields, textField } from "./json.ts";
import type { Fields } from "./json.ts";
import { isDeadLetterId, labelsOf } from "./labels.ts";
import { statusOf } from "./refusal.ts";

/** How many deliveries one question names: as many labels as fit into a URL without worry. */
const MAX_LABELS = 40;
/** The largest page that the API description allows. */
const PAGE_SIZE = "100";
/** How many pages of an answer are read: a delivery has one entry of each final state, but for its duplicates. */
const MAX_PAGES = 5;

/**
 * What QStash remembers of deliveries: its event log, for as long as the plan keeps it, and its dead letters.
 *
 * The event log is asked by final state, so that an answer has one entry for a delivery and not one for each attempt: one
 * question where everything has arrived, a second one for the rest. A delivery that the log holds no end of is absent
 * from the outcomes, whether it is on its way or forgotten.
 */
export function qstashReports(client: QStashClientLike, label: string): DeliveryReports {
  /** Which of the deliveries have an entry of that state in the event log. */
  const inState = async (state: "DELIVERED" | "FAILED", ids: readonly string[]): Promise<ReadonlySet<string>> => {
    const wanted = new Set(ids);
    const found = new Set<string>();
    let cursor: string | undefined;
    for (let page = 0; page < MAX_PAGES && found.size < wanted.size; page++) {
      const answer = await read(client, ["v2", "events"], { state, label: [...ids], ...at(cursor) });
      for (const entry of listOf(answer, "events")) {
        // The state was asked for; an API that did not hear it must not turn an attempt into an arrival.
        if (textField(entry, "state") !== state) continue;
        for (const id of labelsOf(entry)) if (wanted.has(id)) found.add(id);
      }
      cursor = cursorOf(answer);
      if (cursor === undefined) break;
    }
    return found;
  };

  return {
    async outcomes(deduplicationIds) {
      const outcomes = new Map<string, DeliveryOutcome>();
      for (let from = 0; from < deduplicationIds.length; from += MAX_LABELS) {
        const ids = deduplicationIds.slice(from, from + MAX_LABELS);
        for (const id of await inState("DELIVERED", ids)) outcomes.set(id, "delivered");
        const rest = ids.filter((id) => !outcomes.has(id));
        if (rest.length === 0) continue;
        for (const id of await inState("FAILED", rest)) outcomes.set(id, "failed");
      }
      return outcomes;
    },

    async deadLetters(cursor) {
      const answer = await read(client, ["v2", "dlq"], { label, ...at(cursor) });
      const letters = listOf(answer, "messages").flatMap((entry) => letterOfEntry(entry) ?? []);
      const next = cursorOf(answer);
      return next === undefined ? { letters } : { letters, cursor: next };
    },

    async discard(transportId) {
      if (!isDeadLetterId(transportId)) {
        throw new OperationError(
          "ERR_NOT_FOUND",
          `Expected the id of a dead letter of QStash, found ${JSON.stringify(transportId.slice(0, 64))}.`,
          { hint: "Nothing was deleted: any other path would reach another endpoint." },
        );
      }
      try {
        await client.http.request({ path: ["v2", "dlq", transportId], method: "DELETE", parseResponseAsJson: false });
      } catch (error) {
        if (statusOf(error) !== 404) throw error;
      }
    },
  };
}

async function read(
  client: QStashClientLike,
  path: string[],
  query: Record<string, string | string[]>,
): Promise<Fields> {
  const answer = await client.http.request({ path, method: "GET", query: { ...query, count: PAGE_SIZE } });
  if (!isFields(answer))
    throw new TypeError(`Expected an object of QStash's /${path.join("/")}, found another answer.`);
  return answer;
}

function listOf(answer: Fields, name: string): readonly Fields[] {
  const list = field(answer, name);
  if (!Array.isArray(list)) throw new TypeError(`Expected a list "${name}" in QStash's answer, found none.`);
  return list.filter(isFields);
}

/** The last page has no cursor, or an empty one. */
function cursorOf(answer: Fields): string | undefined {
  const cursor = field(answer, "cursor");
  return typeof cursor === "number" ? String(cursor) : textField(answer, "cursor") || undefined;
}

function at(cursor: string | undefined): { cursor?: string } {
  return cursor === undefined ? {} : { cursor };
}
