import type { DeathCertificate } from "../model/barrier-row.ts";
import { OperationError, UndecodableError } from "../errors.ts";
import {
  decodeRecord,
  deduplicationId,
  deliveryKey,
  deliveryRecord,
  hashDestination,
  withEpoch,
} from "../model/delivery.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import { formatDuration } from "../model/duration.ts";
import { encodeEnvelope, isEncrypted, isSealed, parseEnvelope, unstampEnvelope } from "../model/envelope.ts";
import type { Envelope } from "../model/envelope.ts";
import { randomToken, transactionIdAt } from "../model/ids.ts";
import type { DeadLetter } from "../ports/dead-letters.ts";
import type { TransportDeadLetter } from "../ports/transport.ts";
import { askLog, askPayloads, askTransport } from "./ask.ts";
import { transactionIdBeside, logOf } from "./core.ts";
import type { Core } from "./core.ts";
import { isDone } from "./is-done.ts";
import { buryInRow, discardInRow, redriveInRow, resendFromRow, rowDelivery, rowLetter } from "./row-letters.ts";
import type { RowDelivery } from "./row-letters.ts";
import { seal } from "./seal.ts";

/** How much of a last answer is kept. */
const MAX_DETAIL = 2_000;

/** Buries a delivery and tells of it. Rejects where the log is out of reach: nothing is dead before it stands there. */
export async function bury(core: Core, letter: DeadLetter): Promise<"buried" | "ignored"> {
  const short = { ...letter, detail: letter.detail.slice(0, MAX_DETAIL) };
  const outcome = await askLog(core, "the log to bury a delivery", () => logOf(core).deadLetters.bury(short));
  const { key, transactionId } = letter.record;
  if (outcome === "buried") core.emit({ type: "dead", key, transactionId, reason: letter.reason });
  return outcome;
}

/**
 * Records what the transport reports as undeliverable, whether the log knows the delivery or has lost it. Idempotent.
 *
 * `"delivered"`: the consumer had done it after all, and that beats the report. `"known"`: it is dead already.
 * `"ignored"`: that epoch of it was redriven or discarded meanwhile. `"foreign"`: not a message of this library.
 */
export async function recordFailure(
  core: Core,
  report: TransportDeadLetter,
): Promise<"buried" | "delivered" | "known" | "ignored" | "foreign"> {
  const parsed = parseEnvelope(report.body);
  if ("reason" in parsed) return "foreign";
  const record = await recordOf(core, report, parsed.envelope);
  const inRow = await rowDelivery(core, record);
  const dead = inRow === undefined ? await deadInLog(core, record.key) : rowLetter(inRow);
  if (dead !== undefined && deduplicationId(dead.record) === deduplicationId(record) && !tellsMore(report, dead)) {
    return "known";
  }
  const done = isDone(core, report.url, parsed.envelope.id);
  // A row keeps the report whether or not the log answers; a redrive of what was done after all is a duplicate.
  if (await (inRow === undefined ? done : done.catch(() => false))) {
    if (inRow === undefined) {
      await askLog(core, "the log to record a delivery", () =>
        logOf(core).transactions.record([{ record, settled: true }]),
      );
    }
    core.emit({ type: "delivered", key: record.key, transactionId: record.transactionId });
    return "delivered";
  }
  const certificate: DeathCertificate = {
    reason: "failed",
    detail: report.response.slice(0, MAX_DETAIL),
    ...(report.status === undefined ? {} : { status: report.status }),
    buriedAt: core.clock.now(),
    ...(report.transportId === undefined ? {} : { transportId: report.transportId }),
  };
  if (inRow !== undefined) return buryInRow(core, inRow, record, certificate);
  const decidedAt = Date.parse(parsed.envelope.decidedat ?? parsed.envelope.time);
  return bury(core, { record, decidedAt, ...certificate });
}

function deadInLog(core: Core, key: string): Promise<DeadLetter | undefined> {
  return askLog(core, "the log to read a dead letter", () => logOf(core).reader.deadLetter(key));
}

/** What the sweep buried by the event log alone lacks what the transport's own account has: its id, and the last answer. */
function tellsMore(report: TransportDeadLetter, dead: DeadLetter): boolean {
  return report.transportId !== undefined && dead.transportId === undefined && dead.reason === "failed";
}

/** The record a delivered body belongs to: from the facts that travelled with it where they fit the body, else rebuilt. */
export async function recordOf(
  core: Core,
  delivered: { readonly url: string; readonly body: string; readonly meta?: string; readonly epoch?: string },
  envelope: Envelope,
): Promise<DeliveryRecord> {
  const body = unstampEnvelope(delivered.body);
  const destinationHash = await hashDestination(core.crypto, delivered.url);
  const key = deliveryKey(envelope.transactionid, envelope.messageindex, destinationHash);
  if (delivered.meta !== undefined) {
    const record = readable(delivered.meta, body);
    if (record?.key === key && record.messageId === envelope.id && record.destination === delivered.url) return record;
  }
  return deliveryRecord(
    {
      transactionId: envelope.transactionid,
      index: envelope.messageindex,
      destination: delivered.url,
      destinationHash,
      topic: envelope.type,
      messageId: envelope.id,
      on: "commit",
      deadlineMillis: core.settings.deadlineMillis,
      send: {},
      ...(delivered.epoch === undefined || delivered.epoch === "0" ? {} : { epoch: delivered.epoch }),
    },
    body,
  );
}

function readable(meta: string, body: string): DeliveryRecord | undefined {
  try {
    return decodeRecord(meta, body);
  } catch (error) {
    if (error instanceof UndecodableError) return undefined;
    throw error;
  }
}

/** How a person wants a dead letter sent again. */
export interface RedriveOptions {
  /** Send it as a new message, with a new id: the consumer's memory of the old one no longer protects against a second effect. @default false */
  readonly asNew?: boolean;
}

/**
 * Sends a dead letter again. The new epoch is stored before anything is sent, so that a crash leaves it due, and reports
 * about the old epoch are ignored from then on.
 *
 * @throws {OperationError} where it is not dead, or may only be sent as a new message.
 */
export async function redrive(core: Core, key: string, options: RedriveOptions = {}): Promise<DeliveryRecord> {
  const { letter, inRow } = await deadLetterOf(core, key);
  const asNew = options.asNew ?? false;
  if (letter.reason === "conflict" && !asNew) {
    throw new OperationError("ERR_CONFLICT", `Expected a committed message, found "${key}" rolled back by decision.`, {
      hint: "If the business work did commit, send it as a new message: { asNew: true }.",
    });
  }
  if (core.clock.now() - letter.buriedAt > core.settings.redriveWithinMillis && !asNew) {
    throw new OperationError(
      "ERR_EXPIRED",
      `Expected a dead letter younger than ${formatDuration(core.settings.redriveWithinMillis)}, found "${key}" older.`,
      {
        hint: "Its consumer may have forgotten whether it was done; send it as a new message: { asNew: true }.",
      },
    );
  }
  const epoch = randomToken(core.crypto);
  const record = asNew ? await newMessage(core, letter, epoch) : withEpoch(letter.record, epoch, letter.decidedAt);
  if (letter.transportId !== undefined) await discardAtTransport(core, letter.transportId);
  const replaced =
    inRow === undefined
      ? await askLog(core, "the log to redrive", () => logOf(core).deadLetters.redrive(letter, record))
      : await (asNew ? resendFromRow(core, inRow, record) : redriveInRow(core, inRow, epoch));
  if (!replaced) throw goneError(key);
  return record;
}

/** Drops a dead letter for good: the transport's own entry first, then ours. */
export async function discard(core: Core, key: string): Promise<void> {
  const { letter, inRow } = await deadLetterOf(core, key);
  if (letter.transportId !== undefined) await discardAtTransport(core, letter.transportId);
  const dropped =
    inRow === undefined
      ? await askLog(core, "the log to discard", () => logOf(core).deadLetters.discard(letter))
      : await discardInRow(core, inRow);
  if (!dropped) throw goneError(key);
}

async function newMessage(core: Core, letter: DeadLetter, epoch: string): Promise<DeliveryRecord> {
  const { key: _key, meta: _meta, body, epoch: _epoch, parent: _parent, ...facts } = letter.record;
  const now = core.clock.now();
  const transactionId =
    core.store === undefined
      ? transactionIdAt(now, core.crypto)
      : transactionIdBeside(core, core.store, letter.record.transactionId);
  const messageId = `${transactionId}_${facts.index}`;
  const parsed = parseEnvelope(body);
  if ("reason" in parsed)
    throw new UndecodableError(`Expected an envelope in "${letter.record.key}", found none.`, {
      hint: "Discard it, or publish its data anew.",
    });
  const { decidedat: _decidedat, ...undecided } = await unsealed(core, letter.record.key, parsed.envelope);
  const envelope = {
    ...undecided,
    id: messageId,
    transactionid: transactionId,
    time: new Date(now).toISOString(),
  };
  const sealed = await seal(core, envelope, {
    encrypted: isEncrypted(parsed.envelope) ? true : undefined,
    destinations: 1,
    notBefore: facts.send.notBefore,
  });
  return deliveryRecord(
    { ...facts, transactionId, messageId, on: "commit", epoch, decidedAt: now },
    encodeEnvelope(sealed),
  );
}

/** What is sealed is bound to its message: for another one it is opened, and sealed anew. */
async function unsealed(core: Core, key: string, envelope: Envelope): Promise<Envelope> {
  const { payloads } = core;
  if (!isSealed(envelope)) return envelope;
  const opened =
    payloads === undefined
      ? { status: "dead", reason: "no payloads configured" }
      : await askPayloads(core, "a payload to be opened", () => payloads.open(envelope));
  if ("envelope" in opened) return opened.envelope;
  throw new OperationError("ERR_CONFLICT", `Expected to open the data of "${key}", found: ${opened.reason}.`, {
    hint: "A new message needs the data: give this service the keys and the payload store that its topic has.",
  });
}

/** A dead letter, and its row where a row holds it. */
interface FoundLetter {
  readonly letter: DeadLetter;
  readonly inRow?: RowDelivery;
}

/** Rows are looked through first: for what they hold, the log need not answer. */
async function deadLetterOf(core: Core, key: string): Promise<FoundLetter> {
  const inRow = await rowDelivery(core, { key, transactionId: key.split("_")[0]! });
  const inRowLetter = inRow && rowLetter(inRow);
  if (inRow !== undefined && inRowLetter !== undefined) return { letter: inRowLetter, inRow };
  const letter = core.store === undefined ? undefined : await deadInLog(core, key);
  if (letter === undefined) throw goneError(key);
  return { letter };
}

/** The dead letter of a delivery, wherever it is kept. */
export async function findDeadLetter(core: Core, key: string): Promise<DeadLetter | undefined> {
  try {
    return (await deadLetterOf(core, key)).letter;
  } catch (error) {
    if (OperationError.is(error)) return undefined;
    throw error;
  }
}

async function discardAtTransport(core: Core, transportId: string): Promise<void> {
  const reports = core.transport?.reports;
  if (reports !== undefined)
    await askTransport(core, "the transport to drop its dead letter", () => reports.discard(transportId));
}

function goneError(key: string): OperationError {
  return new OperationError("ERR_NOT_FOUND", `Expected a dead letter "${key}", found none.`, {
    hint: "It may have been redriven or discarded meanwhile; list the dead letters again.",
  });
}
