import { isTransactionId } from "./ids.ts";

/**
 * What travels: a CloudEvents 1.0 event in structured mode, as JSON.
 *
 * The transport signs the body and not the headers, so all that identifies a message stands in here. The extension
 * attributes are ours: `transactionid` and `messageindex` name the half message, `decidedat` is when its transaction
 * was decided (absent until then), `notbefore` the earliest delivery, `causationid` the message whose consumer
 * published this one.
 *
 * Source: CloudEvents 1.0.2, JSON event format; Distributed Tracing extension; Dataref extension.
 */
export interface Envelope {
  /** The version of CloudEvents. */
  readonly specversion: "1.0";
  /** The message id: stable through retries, redrives and reruns. */
  readonly id: string;
  /** Who sent it: the deployment's `source`. */
  readonly source: string;
  /** The topic's name. */
  readonly type: string;
  /** When it was published, RFC 3339. */
  readonly time: string;
  /** The media type of the data: JSON, or {@link ENCRYPTED_MEDIA_TYPE}. */
  readonly datacontenttype: string;
  /** Which version of the topic's data they are; absent for 1. */
  readonly dataversion?: number;
  /** The transaction that sent it. */
  readonly transactionid: string;
  /** The message's place in its transaction, from 0. */
  readonly messageindex: number;
  /** RFC 3339. */
  readonly decidedat?: string;
  /** RFC 3339. */
  readonly notbefore?: string;
  /** The message whose consumer published this one. */
  readonly causationid?: string;
  /** W3C trace context of the request that published it. */
  readonly traceparent?: string;
  /** The second half of it. */
  readonly tracestate?: string;
  /** What the topic's schema describes, or its encrypted form; absent where `dataref` says where it lies. */
  readonly data?: unknown;
  /** The key under which the data lie in a payload store. */
  readonly dataref?: string;
  /** How many bytes lie there. */
  readonly datalength?: number;
  /** Their SHA-256, in hexadecimal. */
  readonly datasha256?: string;
  /** Whether they are this delivery's alone, so that whoever has consumed it may delete them. */
  readonly dataexclusive?: boolean;
}

/** The media type of an {@link Envelope}. */
export const ENVELOPE_MEDIA_TYPE = "application/cloudevents+json";

/** The media type of encrypted data: a JWE in its compact form. Source: RFC 7516. */
export const ENCRYPTED_MEDIA_TYPE = "application/jose";

/** Whether the data are encrypted. */
export function isEncrypted(envelope: Pick<Envelope, "datacontenttype">): boolean {
  return envelope.datacontenttype === ENCRYPTED_MEDIA_TYPE;
}

/** Whether the data are not here as they are: encrypted, or in a payload store. */
export function isSealed(envelope: Envelope): boolean {
  return isEncrypted(envelope) || envelope.dataref !== undefined;
}

/** The highest version of data: what an integer of CloudEvents holds. */
export const MAX_DATA_VERSION = 2_147_483_647;

/** Tells whether a value may be a version of data. */
export function isDataVersion(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= MAX_DATA_VERSION;
}

const DECIDED_AT = '{"decidedat":"';
/** An RFC 3339 time as `Date.prototype.toISOString` writes it has this length up to the year 9999. */
const TIME_LENGTH = 24;

/** The text of an undecided envelope: what a half message holds. */
export function encodeEnvelope(envelope: Omit<Envelope, "decidedat">): string {
  return JSON.stringify(envelope);
}

/** The text to deliver: the half message's, with the time of the decision put in front. Constant for a decision. */
export function stampEnvelope(half: string, decidedAt: number): string {
  return `${DECIDED_AT}${new Date(decidedAt).toISOString()}",${half.slice(1)}`;
}

/** The half message's text again, from a delivered body; the body itself where it carries no stamp of ours. */
export function unstampEnvelope(body: string): string {
  const rest = DECIDED_AT.length + TIME_LENGTH;
  return body.startsWith(DECIDED_AT) && body.startsWith('",', rest) ? `{${body.slice(rest + 2)}` : body;
}

/**
 * Reads a delivered body. Whatever is not an envelope of ours gives the reason instead; no input throws.
 *
 * Only own properties of the parsed object are taken over, so that `__proto__` in a body reaches nothing.
 */
export function parseEnvelope(body: string): { readonly envelope: Envelope } | { readonly reason: string } {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return { reason: "expected a JSON body, found other text" };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { reason: "expected a CloudEvents object, found another JSON value" };
  }
  const fields = value as Record<string, unknown>;
  if (fields.specversion !== "1.0") return { reason: 'expected specversion "1.0"' };
  for (const field of ["id", "source", "type", "time", "transactionid"]) {
    const text = Object.hasOwn(fields, field) ? fields[field] : undefined;
    if (typeof text !== "string" || text === "" || text.length > 2_048)
      return { reason: `expected the attribute "${field}"` };
  }
  if (!isTransactionId(fields.transactionid as string)) return { reason: 'expected an id in "transactionid"' };
  if (!isIndex(fields.messageindex)) return { reason: 'expected a small whole number in "messageindex"' };
  if (fields.dataversion !== undefined && !isDataVersion(fields.dataversion))
    return { reason: 'expected a version in "dataversion"' };
  for (const field of ["decidedat", "notbefore", "time"]) {
    const time = fields[field];
    if (time !== undefined && (typeof time !== "string" || Number.isNaN(Date.parse(time)))) {
      return { reason: `expected an RFC 3339 time in "${field}"` };
    }
  }
  for (const field of ["causationid", "traceparent", "tracestate"]) {
    if (fields[field] !== undefined && typeof fields[field] !== "string")
      return { reason: `expected text in "${field}"` };
  }
  return { envelope: fields as unknown as Envelope };
}

function isIndex(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 100_000;
}

/** From when a message's age counts: the later of its decision and its earliest delivery, in milliseconds. */
export function ageFrom(envelope: Envelope): number {
  return Math.max(Date.parse(envelope.decidedat ?? envelope.time), Date.parse(envelope.notbefore ?? envelope.time));
}
