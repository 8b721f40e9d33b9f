import { decodeRecord } from "../../src/model/delivery.ts";
import { DEFAULT_RETRIES } from "../../src/model/topic.ts";
import { texts } from "../redis/executor.ts";
import { streamAddress } from "./keys.ts";

/** An entry of a stream. */
export interface Entry {
  /** Its id in the stream. */
  readonly id: string;
  /** The deduplication id of its delivery; `undefined` where it is none of ours. */
  readonly deduplicationId: string | undefined;
  /** How many attempts were made before it was put back. */
  readonly used: number;
  /** The text that {@link encodeText} made. */
  readonly text: string;
}

/** What was found in an entry. */
export type FoundDelivery =
  | {
      readonly status: "delivery";
      readonly destination: string;
      readonly meta: string;
      readonly body: string;
      readonly retries: number;
    }
  /** Written by another version: a worker of that version can read it. */
  | { readonly status: "undecodable"; readonly reason: string }
  /** Not a message of this library. */
  | { readonly status: "foreign"; readonly reason: string };

const VERSION = 1;

/** A line of JSON with the facts of the delivery, and below it the CloudEvents envelope as it is: no JSON as a whole, so that no client takes it apart. */
export function encodeText(meta: string, body: string): string {
  return `${meta}\n${body}`;
}

/** Reads an entry as it is in a reply; clients that parse JSON may have turned digits into numbers. */
export function readEntry(reply: unknown): Entry | undefined {
  const [id, given] = Array.isArray(reply) ? (reply as readonly unknown[]) : [];
  if (typeof id !== "string" || !Array.isArray(given)) return undefined;
  const fields = texts(given);
  const values = new Map<string, string>();
  for (let i = 0; i + 1 < fields.length; i += 2) values.set(fields[i]!, fields[i + 1]!);
  const used = Number(values.get("n"));
  return {
    id,
    deduplicationId: values.get("d"),
    used: Number.isInteger(used) && used >= 0 ? used : 0,
    text: values.get("m") ?? "",
  };
}

/** Reads the delivery of an entry that was found at a destination; no input throws. What the body says is for the core to look at. */
export function decodeText({ deduplicationId, text }: Entry, destination: string): FoundDelivery {
  if (deduplicationId === undefined) return foreign("expected a deduplication id");
  const end = text.indexOf("\n");
  if (end < 0) return foreign("expected two lines of text");
  const meta = text.slice(0, end);
  let facts: unknown;
  try {
    facts = JSON.parse(meta);
  } catch {
    return foreign("expected JSON in the first line");
  }
  if (typeof facts !== "object" || facts === null || !("v" in facts))
    return foreign("expected the facts of a delivery");
  if (facts.v !== VERSION) {
    return { status: "undecodable", reason: `expected facts of version ${VERSION}, found another` };
  }
  const found = "destination" in facts ? facts.destination : undefined;
  if (typeof found !== "string" || streamAddress(found) === undefined || found !== destination) {
    return foreign("expected the destination that the stream is for");
  }
  return { status: "delivery", destination, meta, body: text.slice(end + 1), retries: retriesOf(meta) };
}

function retriesOf(meta: string): number {
  try {
    return decodeRecord(meta, "").send.retries ?? DEFAULT_RETRIES;
  } catch {
    return DEFAULT_RETRIES;
  }
}

function foreign(reason: string): FoundDelivery {
  return { status: "foreign", reason };
}
