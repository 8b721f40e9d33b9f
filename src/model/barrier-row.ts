import { UndecodableError } from "../errors.ts";
import type { DeathReason } from "../ports/dead-letters.ts";
import { decodeRecord, withEpoch } from "./delivery.ts";
import type { DeliveryRecord } from "./delivery.ts";
import type { Verdict } from "./states.ts";

/** What became of one delivery of a decided transaction; a delivery without a result has not been sent yet. */
export type DeliveryResult =
  /** The transport took it over. */
  | { readonly state: "published"; readonly epoch?: string }
  /** A person sent it again: it goes out under this epoch. With when that was, in milliseconds since 1970. */
  | { readonly state: "half"; readonly epoch: string; readonly at?: number }
  /** It waits for a person. */
  | ({ readonly state: "dead"; readonly epoch?: string } & DeathCertificate)
  /** A person dropped it. */
  | { readonly state: "discarded"; readonly epoch?: string };

/** Why and when a delivery died. */
export interface DeathCertificate {
  /** Why, for programs. */
  readonly reason: DeathReason;
  /** The last answer, or the transport's words. */
  readonly detail: string;
  /** The last HTTP status, where there was one. */
  readonly status?: number;
  /** Milliseconds since 1970. */
  readonly buriedAt: number;
  /** The transport's own id for its dead letter, where it keeps one. */
  readonly transportId?: string;
}

/** The results of a row, by delivery key. */
export type DeliveryResults = Readonly<Record<string, DeliveryResult>>;

/** A decided transaction as its barrier row tells it: the outbox of what it sends. */
export interface DecisionRow {
  /** Which transaction this is. */
  readonly transactionId: string;
  /** How it was decided. */
  readonly verdict: Verdict;
  /** When, in milliseconds since 1970 by the decider's clock; constant. */
  readonly decidedAt: number;
  /** The deployment it belongs to. */
  readonly source: string;
  /** What the verdict sends, as it was first prepared. */
  readonly records: readonly DeliveryRecord[];
  /** What became of each. */
  readonly results: DeliveryResults;
  /** How often sweepers have taken it on. */
  readonly attempts: number;
  /** Rises with every change: the fencing token of whoever changes it. */
  readonly version: number;
  /** Nothing of it is left to be sent. */
  readonly settled: boolean;
}

const VERSION = 1;

/** The messages of a row, as text. Deliveries of one message share its body, so that a fan-out does not repeat it. */
export function encodeMessages(records: readonly DeliveryRecord[]): string {
  const bodies: string[] = [];
  const deliveries = records.map(({ meta, body }) => {
    let at = bodies.indexOf(body);
    if (at === -1) at = bodies.push(body) - 1;
    return [meta, at];
  });
  return JSON.stringify({ v: VERSION, bodies, deliveries });
}

/**
 * Reads the messages of a row.
 *
 * @throws {UndecodableError} where another release wrote them.
 */
export function decodeMessages(text: string): readonly DeliveryRecord[] {
  const value = parsed(text) as { v?: unknown; bodies?: unknown; deliveries?: unknown } | undefined | null;
  if (value?.v !== VERSION || !Array.isArray(value.bodies) || !Array.isArray(value.deliveries)) throw unreadable();
  const { bodies, deliveries } = value as { bodies: readonly unknown[]; deliveries: readonly unknown[] };
  return deliveries.map((entry) => {
    const [meta, at] = Array.isArray(entry) ? (entry as readonly unknown[]) : [];
    const body = typeof at === "number" ? bodies[at] : undefined;
    if (typeof meta !== "string" || typeof body !== "string") throw unreadable();
    return decodeRecord(meta, body);
  });
}

function unreadable(): UndecodableError {
  return new UndecodableError(`Expected messages of version ${VERSION} in a barrier row, found others.`, {
    hint: "A newer release may have written them; they are left for a sweeper of that release.",
  });
}

/** The results of a row, as text. */
export function encodeResults(results: DeliveryResults): string {
  return JSON.stringify(results);
}

/** Reads the results of a row; nothing stands for none. */
export function decodeResults(text: string | null): DeliveryResults {
  const value = text === null ? undefined : parsed(text);
  return Object.assign(Object.create(null) as Record<string, DeliveryResult>, value);
}

/** The record of a delivery as it is to be sent now: a redriven one bears its epoch. */
export function currentRecord(row: Pick<DecisionRow, "results" | "decidedAt">, record: DeliveryRecord): DeliveryRecord {
  const epoch = row.results[record.key]?.epoch;
  return epoch === undefined ? record : withEpoch(record, epoch, row.decidedAt);
}

/** What is left to be sent. */
export function pendingRecords(row: Pick<DecisionRow, "records" | "results" | "decidedAt">): readonly DeliveryRecord[] {
  return row.records
    .filter(({ key }) => row.results[key] === undefined || row.results[key].state === "half")
    .map((record) => currentRecord(row, record));
}

/** How many wait for a person. */
export function deadCount(results: DeliveryResults): number {
  return Object.values(results).filter(({ state }) => state === "dead").length;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
