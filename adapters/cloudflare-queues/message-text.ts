import { addressOf } from "../../src/model/destination.ts";

/** What a message of ours in a queue says. */
export interface QueuedDelivery {
  /** Where it goes: `queue:orders/receipt`. */
  readonly destination: string;
  /** The facts of its record, as text. */
  readonly meta: string;
  /** The body, to the letter. */
  readonly body: string;
}

/** What was found in a queue. */
export type FoundMessage =
  | { readonly status: "delivery"; readonly delivery: QueuedDelivery }
  /** Written by another version: a consumer of that version can read it. */
  | { readonly status: "undecodable"; readonly reason: string }
  /** Not a message of this library. */
  | { readonly status: "foreign"; readonly reason: string };

const VERSION = 1;

/** The text of a message: a line of JSON with the facts of the delivery, and below it the CloudEvents envelope as it is. */
export function encodeMessage(meta: string, body: string): string {
  return `${meta}\n${body}`;
}

/** Reads a message of a queue; no input throws. What the body says is for the core to look at. */
export function decodeMessage(message: unknown): FoundMessage {
  const end = typeof message === "string" ? message.indexOf("\n") : -1;
  if (typeof message !== "string" || end < 0) return foreign("expected two lines of text");
  const meta = message.slice(0, end);
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
  const destination = "destination" in facts ? facts.destination : undefined;
  if (typeof destination !== "string" || addressOf(destination)?.scheme !== "queue") {
    return foreign("expected a destination of a queue");
  }
  return { status: "delivery", delivery: { destination, meta, body: message.slice(end + 1) } };
}

function foreign(reason: string): FoundMessage {
  return { status: "foreign", reason };
}
