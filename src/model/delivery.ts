import { UndecodableError } from "../errors.ts";
import { fingerprint, isTransactionId } from "./ids.ts";
import type { Crypto } from "../ports/crypto.ts";

/** How one delivery travels; resolved when it is prepared, so that any sweeper of any release can send it. */
export interface SendOptions {
  /** How often the transport tries again. @default DEFAULT_RETRIES */
  readonly retries?: number;
  /** The wait between two attempts, an arithmetic expression of the transport. @default the transport's own */
  readonly retryDelay?: string;
  /** How long the destination may take to answer. @default the transport's own */
  readonly timeoutMillis?: number;
  /** The earliest delivery, in milliseconds since 1970. */
  readonly notBefore?: number;
  /** What the destination gets besides the transport's own headers. */
  readonly headers?: Readonly<Record<string, string>>;
  /** How fast the topic's messages are delivered. */
  readonly flow?: { readonly parallelism?: number; readonly rate?: number; readonly periodSeconds: number };
  /** Which of the topic's queues it is to wait in; none, where its order does not matter. */
  readonly queue?: number;
}

/** The consumer's run that a delivery was published in: it can be committed only while that run holds its lease. */
export interface ParentRun {
  /** The consumer's name in the inbox. */
  readonly consumer: string;
  /** The message that it consumes. */
  readonly messageId: string;
  /** The fencing token of its lease. */
  readonly token: string;
}

/** What is known of a delivery besides its body. */
export interface DeliveryFacts {
  /** The transaction that it belongs to. */
  readonly transactionId: string;
  /** The message's place in its transaction, from 0. */
  readonly index: number;
  /** The absolute URL. */
  readonly destination: string;
  /** A hash of the absolute URL. */
  readonly destinationHash: string;
  /** The topic's name. */
  readonly topic: string;
  /** The id of its message, which other deliveries may share. */
  readonly messageId: string;
  /** Which decision sends it. */
  readonly on: "commit" | "rollback";
  /** The name of the check that decides a doubtful outcome; without one the level is `marked`. */
  readonly check?: string;
  /** The name of the database whose barrier row decides and carries it. */
  readonly database?: string;
  /** How long after its preparation the outcome is looked into, in milliseconds. */
  readonly deadlineMillis: number;
  /** How it travels. */
  readonly send: SendOptions;
  /** The consumer's run that published it, where one did. */
  readonly parent?: ParentRun;
  /** Which redrive this is; absent for the first dispatch. */
  readonly epoch?: string;
  /** Set by a redrive: the decision's time, so that no decision needs to be looked up any more. */
  readonly decidedAt?: number;
}

/** One message to one destination: the unit of publishing, deduplication, state and redrive. Immutable. */
export interface DeliveryRecord extends DeliveryFacts {
  /** `<transaction>_<index>_<destination hash>`, unique and constant. */
  readonly key: string;
  /** The facts as text: one line of ASCII, fit for a header. */
  readonly meta: string;
  /** The half message: an envelope without its decision. */
  readonly body: string;
}

const VERSION = 1;
const KEY = /^([A-Za-z0-9-]{1,64})_(\d{1,5})_([0-9a-f]{16})$/;

/** The hash that stands for a destination in keys and deduplication ids. */
export async function hashDestination(crypto: Crypto, url: string): Promise<string> {
  return (await fingerprint(crypto, url)).slice(0, 16);
}

/** The key of a delivery. */
export function deliveryKey(transactionId: string, index: number, destinationHash: string): string {
  return `${transactionId}_${index}_${destinationHash}`;
}

/** Tells whether a text is a delivery key. */
export function isDeliveryKey(text: string): boolean {
  return KEY.test(text);
}

/** The id under which the transport recognises its own earlier copy: constant but for redrives. QStash refuses `:` in it. */
export function deduplicationId(record: DeliveryRecord): string {
  return `${record.key}_${record.epoch ?? "0"}`;
}

/** Makes a record of facts and a half message. */
export function deliveryRecord(facts: DeliveryFacts, body: string): DeliveryRecord {
  const meta = asciiJson({ v: VERSION, ...facts });
  return { ...facts, key: deliveryKey(facts.transactionId, facts.index, facts.destinationHash), meta, body };
}

/** The record of the facts of `meta`; the text itself is kept, so that a record written again is the same to the letter. */
export function decodeRecord(meta: string, body: string): DeliveryRecord {
  let facts: (DeliveryFacts & { v?: unknown }) | undefined;
  try {
    facts = JSON.parse(meta) as DeliveryFacts;
  } catch {
    facts = undefined;
  }
  if (typeof facts !== "object" || facts === null || facts.v !== VERSION || !hasFacts(facts)) {
    throw new UndecodableError(`Expected a delivery record of version ${VERSION}, found another.`, {
      hint: "A newer release may have written it; it is left for a sweeper of that release.",
    });
  }
  const { v: _, ...rest } = facts;
  return { ...rest, key: deliveryKey(facts.transactionId, facts.index, facts.destinationHash), meta, body };
}

/** The same delivery under another epoch: the record of a redrive. */
export function withEpoch(record: DeliveryRecord, epoch: string, decidedAt: number): DeliveryRecord {
  const { key: _key, meta: _meta, body, ...facts } = record;
  return deliveryRecord({ ...facts, epoch, decidedAt }, body);
}

function hasFacts(facts: DeliveryFacts): boolean {
  return (
    typeof facts.transactionId === "string" &&
    isTransactionId(facts.transactionId) &&
    KEY.test(deliveryKey(facts.transactionId, facts.index, facts.destinationHash)) &&
    typeof facts.destination === "string" &&
    typeof facts.messageId === "string" &&
    (facts.on === "commit" || facts.on === "rollback") &&
    typeof facts.deadlineMillis === "number" &&
    typeof facts.send === "object" &&
    facts.send !== null
  );
}

/** JSON on one line of ASCII: a header value may hold it. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
