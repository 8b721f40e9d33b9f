import type { DispatchResult } from "../../src/ports/transport.ts";
import type { QStashClientLike } from "./client.ts";
import { field, isFields, textField } from "./json.ts";
import type { Publication } from "./publication.ts";

/** Publishes one message by a call of its own. Rejects with the client's error, which carries the status. */
export function publishAlone(client: QStashClientLike, publication: Publication): Promise<unknown> {
  const { destination, queue } = publication;
  return client.http.request({
    path: [...(queue === undefined ? ["v2", "publish"] : ["v2", "enqueue", queue]), destination],
    method: "POST",
    headers: headersOf(client, publication),
    body: publication.body,
  });
}

/** Publishes many messages by one call, each encoded by {@link batchItem}. Answers with an array, in order. */
export function publishBatch(client: QStashClientLike, items: readonly string[]): Promise<unknown> {
  return client.http.request({
    path: ["v2", "batch"],
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: `[${items.join(",")}]`,
  });
}

/** A message as an item of a batch, in JSON. */
export function batchItem(client: QStashClientLike, publication: Publication): string {
  const { destination, queue, body } = publication;
  // Where there is no queue, JSON leaves it out.
  return JSON.stringify({ destination, queue, headers: headersOf(client, publication), body });
}

/** What QStash says of a message that it was asked to take; an earlier copy of ours is as good as a new one. */
export function resultOfAnswer(answer: unknown): DispatchResult {
  if (isFields(answer) && textField(answer, "messageId") !== undefined) {
    return { status: "accepted", deduplicated: field(answer, "deduplicated") === true };
  }
  return { status: "retry", reason: "expected a message id of QStash, found another answer" };
}

/** The publication's headers, and those of the client that it does not set itself. */
function headersOf(client: QStashClientLike, { headers }: Publication): Record<string, string> {
  const merged: Record<string, string> = { ...headers };
  const taken = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  client.http.headers?.forEach((value, name) => {
    if (!taken.has(name.toLowerCase())) merged[name] = value;
  });
  return merged;
}
