import { InvalidMessageError } from "../errors.ts";
import type { ConfigurationProblem } from "../errors.ts";
import { toHex, utf8 } from "../model/bytes.ts";
import { DURATION_FORM, formatDuration, parseDuration } from "../model/duration.ts";
import type { Duration } from "../model/duration.ts";
import type { Envelope } from "../model/envelope.ts";
import type { PayloadContext, SealOptions } from "../ports/payload-codec.ts";
import type { PayloadStore } from "../ports/payload-store.ts";
import { webCrypto } from "../system/crypto.ts";
import type { Opened } from "./opened.ts";

/** Keeps large data in a store, and lets a reference to them travel. */
export interface ClaimCheckOptions {
  /** Where they are kept: the same for those who produce and those who consume. */
  readonly store: PayloadStore;
  /** From more than how many bytes on. @default DEFAULT_ABOVE_BYTES */
  readonly above?: number;
  /** The most bytes that are taken. @default DEFAULT_AT_MOST_BYTES */
  readonly atMost?: number;
  /** How long they are kept, at least; a message that waits for a person longer than that has lost its data. @default DEFAULT_KEEP_MILLIS */
  readonly keep?: Duration;
}

/** Small enough for every transport and every row. */
export const DEFAULT_ABOVE_BYTES = 65_536;
/** Fits into one request to Upstash, whatever JSON has to escape in it. */
export const DEFAULT_AT_MOST_BYTES = 5_000_000;
/** 90 days. */
export const DEFAULT_KEEP_MILLIS = 7_776_000_000;

/** Where data lie that do not travel. */
export type Reference = Required<Pick<Envelope, "dataref" | "datalength" | "datasha256">> &
  Pick<Envelope, "dataexclusive">;

/** Keeps and fetches texts. */
export interface ClaimCheck {
  /** Keeps the text of a message's data, and resolves to where it lies; `undefined` where it is small enough to travel. */
  check(text: string, envelope: Envelope, how: SealOptions): Promise<Reference | undefined>;
  fetch(envelope: Envelope): Promise<Opened>;
  drop(envelope: Envelope): Promise<void>;
  problems(context: PayloadContext): readonly ConfigurationProblem[];
}

const REFERENCE = /^[A-Za-z0-9_-]{1,200}$/;

/** Makes the claim check of a service. */
export function claimCheck(options: ClaimCheckOptions): ClaimCheck {
  const { store, above = DEFAULT_ABOVE_BYTES, atMost = DEFAULT_AT_MOST_BYTES } = options;
  const keepMillis = (options.keep === undefined ? undefined : parseDuration(options.keep)) ?? DEFAULT_KEEP_MILLIS;
  return {
    async check(text, envelope, { exclusive, neededMillis }) {
      const bytes = utf8(text);
      if (bytes.length <= above) return undefined;
      if (bytes.length > atMost) throw tooLarge(envelope, bytes.length, atMost);
      if (neededMillis > (store.keepsMillis ?? Infinity)) throw tooLate(envelope, neededMillis, store.keepsMillis!);
      const datasha256 = await sha256(bytes);
      const dataref = referenceOf(envelope, datasha256, exclusive);
      await store.put(dataref, text, Math.max(keepMillis, neededMillis));
      return { dataref, datalength: bytes.length, datasha256, ...(exclusive ? { dataexclusive: true } : {}) };
    },

    async fetch({ dataref, datalength, datasha256 }) {
      if (typeof dataref !== "string" || !REFERENCE.test(dataref))
        return { status: "dead", reason: "expected a reference of ours to a payload store" };
      const text = await store.get(dataref);
      // A replica may lag behind, so that one look proves nothing: the message's retries are the limit.
      if (text === undefined)
        return { status: "retry", reason: `the payload store has nothing under "${dataref}"`, busy: false };
      const bytes = utf8(text);
      if (bytes.length === datalength && (await sha256(bytes)) === datasha256) return { status: "text", text };
      return { status: "dead", reason: `what the payload store has under "${dataref}" is not what was put there` };
    },

    async drop({ dataref = "" }) {
      if (REFERENCE.test(dataref)) await store.delete(dataref);
    },

    problems: ({ neededMillis }) => problemsOf(options, neededMillis),
  };
}

/**
 * One key for each content of each message of each transaction: a put that is sent again replaces its own, and no other
 * publish, not even a rerun of the same consumer, has the same one. So nobody drops what another still refers to.
 */
function referenceOf(envelope: Envelope, sha: string, exclusive: boolean): string {
  return `${envelope.transactionid}_${envelope.messageindex}_${sha.slice(0, 32)}_${exclusive ? "one" : "all"}`;
}

async function sha256(bytes: Uint8Array): Promise<string> {
  return toHex(await webCrypto.digest(bytes));
}

function tooLarge({ type, id }: Envelope, bytes: number, most: number): InvalidMessageError {
  return new InvalidMessageError(`Expected data of at most ${most} bytes for the topic "${type}", found ${bytes}.`, {
    code: "ERR_MESSAGE_TOO_LARGE",
    hint: "Raise payloads.claimCheck.atMost, if the store takes as much.",
    messageId: id,
  });
}

function tooLate({ type, id }: Envelope, neededMillis: number, keepsMillis: number): InvalidMessageError {
  return new InvalidMessageError(
    `Expected a payload store that keeps data of the topic "${type}" for ${formatDuration(neededMillis)}, found one that keeps them for ${formatDuration(keepsMillis)}.`,
    { hint: "Deliver it sooner, or let the store keep what it has for longer.", messageId: id },
  );
}

function problemsOf(options: ClaimCheckOptions, neededMillis: number): readonly ConfigurationProblem[] {
  const { store, above = DEFAULT_ABOVE_BYTES, atMost = DEFAULT_AT_MOST_BYTES, keep } = options;
  const problems: ConfigurationProblem[] = [];
  const path = "payloads.claimCheck";
  if (!Number.isInteger(above) || above < 0 || !Number.isInteger(atMost) || atMost <= above) {
    problems.push({
      path: `${path}.above`,
      expected: "whole numbers of bytes, above from 0 and atMost larger",
      found: `above ${above} and atMost ${atMost}`,
      remedy: `Leave them out for ${DEFAULT_ABOVE_BYTES} and ${DEFAULT_AT_MOST_BYTES}.`,
    });
  }
  const keepMillis = keep === undefined ? DEFAULT_KEEP_MILLIS : parseDuration(keep);
  if (keepMillis === undefined) {
    problems.push({
      path: `${path}.keep`,
      expected: DURATION_FORM,
      found: JSON.stringify(keep),
      remedy: "Write number and unit together.",
    });
  }
  const least = `at least ${formatDuration(neededMillis)}, for as long as a message may be sent again`;
  const kept = Math.min(keepMillis ?? DEFAULT_KEEP_MILLIS, store.keepsMillis ?? Infinity);
  if (kept < neededMillis || (keep !== undefined && kept < keepMillis!)) {
    problems.push({
      path: kept === store.keepsMillis ? `${path}.store` : `${path}.keep`,
      expected: kept < neededMillis ? least : `at least the ${formatDuration(keepMillis!)} of keep`,
      found: formatDuration(kept),
      remedy: "Lengthen it, or shorten recovery.redriveWithin.",
    });
  }
  return problems;
}
