import type { Client, Log } from "@upstash/qstash";

/** One message of the shop to one destination, as QStash's own event log tells of it. */
export interface SentMessage {
  readonly transactionId: string;
  /** The stable message id, out of the body. */
  readonly messageId: string;
  /** The last part of the destination's path. */
  readonly consumer: string;
  readonly orderId: string;
  readonly item: string;
  readonly delivered: boolean;
  readonly failed: boolean;
  /** How often it was tried again. */
  readonly retries: number;
  /** How many attempts got no answer: the connection was refused, or it broke. */
  readonly unanswered: number;
}

/** QStash's event log, read once. */
export interface QStashLog {
  readonly messages: readonly SentMessage[];
  /** How many of them are still on their way. */
  readonly underWay: number;
}

/** Our messages carry this label and, as the second one, their deduplication id. */
const LABEL = "aftercommit";
const PAGE_SIZE = 1_000;
const ENDS: ReadonlySet<string> = new Set(["DELIVERED", "FAILED", "CANCELLED", "CANCELED"]);

/** Reads QStash's whole event log. */
export async function readQStashLog(client: Client): Promise<QStashLog> {
  const entries = new Map<string, Log[]>();
  let cursor: string | undefined;
  do {
    const page = await client.logs({ count: PAGE_SIZE, ...(cursor === undefined ? {} : { cursor }) });
    for (const entry of page.logs) {
      const known = entries.get(entry.messageId);
      if (known === undefined) entries.set(entry.messageId, [entry]);
      else known.push(entry);
    }
    cursor = page.cursor;
  } while (cursor !== undefined && cursor !== "");
  const ours = [...entries.values()].filter(([entry]) => entry!.labels?.[0] === LABEL);
  return {
    messages: ours.map(messageOf),
    underWay: ours.filter((message) => !message.some(({ state }) => ENDS.has(state))).length,
  };
}

function messageOf(entries: readonly Log[]): SentMessage {
  const { labels, url, body } = entries[0]!;
  const envelope = JSON.parse(Buffer.from(body ?? "", "base64").toString()) as Envelope;
  const count = (state: string): number => entries.filter((entry) => entry.state === state).length;
  return {
    transactionId: labels![1]!.split("_")[0]!,
    messageId: envelope.id,
    consumer: new URL(url).pathname.split("/").at(-1)!,
    orderId: envelope.data.orderId,
    item: envelope.data.item,
    delivered: count("DELIVERED") > 0,
    failed: count("FAILED") > 0,
    retries: count("RETRY"),
    unanswered: entries.filter((entry) => entry.state === "ERROR" && entry.error !== undefined).length,
  };
}

interface Envelope {
  readonly id: string;
  readonly data: { readonly orderId: string; readonly item: string };
}
