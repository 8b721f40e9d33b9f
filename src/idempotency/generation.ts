import { fingerprint, randomToken } from "../model/ids.ts";
import type { Crypto } from "../ports/crypto.ts";

/** One run of a request with a key. */
export interface Generation {
  /** From 0: how many runs before it were revoked since the key has been remembered. */
  readonly number: number;
  /** Drawn by the run: tells its own earlier write, whose reply was lost, from another's. */
  readonly nonce: string;
  /** The fingerprint of what it asks for. */
  readonly payload: string;
}

const TOKEN = /^(\d{1,6})\.([A-Za-z0-9_-]{22})\.([0-9a-f]{32})$/;

/** A generation of one's own. */
export function nextGeneration(crypto: Crypto, number: number, payload: string): Generation {
  return { number, nonce: randomToken(crypto), payload };
}

/** A generation as a fencing token: whoever finds it in the inbox knows which run it is, and what that asks for. */
export function tokenOf({ number, nonce, payload }: Generation): string {
  return `${number}.${nonce}.${payload}`;
}

/** The generation of a token; `undefined` where another release wrote it. */
export function generationOf(token: string): Generation | undefined {
  const [, number, nonce, payload] = TOKEN.exec(token) ?? [];
  if (number === undefined || nonce === undefined || payload === undefined) return undefined;
  return { number: Number(number), nonce, payload };
}

/**
 * The transaction id of a generation. It has the nonce in it: a key that is used again after it was forgotten, or whose
 * count began anew, names another transaction, whose messages are no duplicates of the first one's.
 */
export function transactionIdOf(crypto: Crypto, keyId: string, { number, nonce }: Generation): Promise<string> {
  return fingerprint(crypto, "transaction", keyId, String(number), nonce);
}
