import { IDEMPOTENCY_KEY_HEADER, MAX_KEY_LENGTH } from "./options.ts";
import type { ResolvedOptions } from "./options.ts";

/** Why a request with a key, or without one, was not done: the member `code` of the answer's body. */
export type IdempotencyProblem =
  /** 400: the route requires a key. */
  | "idempotency-key-missing"
  /** 400: what was sent is no key. */
  | "idempotency-key-invalid"
  /** 422: the key names another request. */
  | "idempotency-key-reused"
  /** 409: the request is being done, or its outcome is not known yet. */
  | "request-in-flight"
  /** 409: the request was done; its answer was not kept. The member `transactionId` names the transaction. */
  | "answer-not-kept"
  /** 413: the body is larger than what is compared. */
  | "payload-too-large"
  /** 503: what remembers requests is out of reach; nothing was done. */
  | "inbox-unavailable";

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  409: "Conflict",
  413: "Content Too Large",
  422: "Unprocessable Content",
  503: "Service Unavailable",
};

/** How long a caller should wait before it asks again. */
const RETRY_AFTER_SECONDS = "2";

/** What a problem has to say. */
export interface ProblemDetails {
  readonly status: 400 | 409 | 413 | 422 | 503;
  readonly code: IdempotencyProblem;
  /** What was expected, what was found, and what to do. */
  readonly detail: string;
  /** The transaction that was committed. */
  readonly transactionId?: string;
  /** Whether the same request may be made again, after a while. */
  readonly again?: boolean;
}

/** An answer that says what is wrong, to people and to programs. Source: RFC 9457. */
export function problem({ status, again = false, ...members }: ProblemDetails): Response {
  const body = { type: "about:blank", title: TITLES[status], status, ...members };
  const headers = new Headers({ "content-type": "application/problem+json", "cache-control": "no-store" });
  if (again) headers.set("retry-after", RETRY_AFTER_SECONDS);
  return new Response(JSON.stringify(body), { status, headers });
}

/** No key, where there must be one. */
export const MISSING_KEY: ProblemDetails = {
  status: 400,
  code: "idempotency-key-missing",
  detail: `Expected the header ${IDEMPOTENCY_KEY_HEADER}, found none. Send a random key, in quotes, and the same one when the request is made again.`,
};
/** The key of another request. */
export const REUSED_KEY: ProblemDetails = {
  status: 422,
  code: "idempotency-key-reused",
  detail:
    "Expected the request that this key was first sent with, found another one. Send a new key with a new request.",
};
/** A request that is being done. */
export const IN_FLIGHT: ProblemDetails = {
  status: 409,
  code: "request-in-flight",
  detail:
    "Expected a request that has ended, found that it is being done, or that its outcome is not known yet. Make the same request again, after a while.",
  again: true,
};
/** A request that was done, and cannot be answered again. */
export const NOT_KEPT: ProblemDetails = {
  status: 409,
  code: "answer-not-kept",
  detail:
    "Expected a request that was not done, found that it was done as this transaction; its answer was not kept. Do not make it again under another key.",
};
/** Nothing is known of any request. */
export const UNAVAILABLE: ProblemDetails = {
  status: 503,
  code: "inbox-unavailable",
  detail:
    "Expected an answer from where requests are remembered, found none. Nothing was done: make the same request again, after a while.",
  again: true,
};

/** Something else than a key. */
export function invalidKey(found: string, { acceptUnquoted = false }: ResolvedOptions): ProblemDetails {
  const form = acceptUnquoted ? "with or without quotes" : "in quotes";
  return {
    status: 400,
    code: "idempotency-key-invalid",
    detail: `Expected one key of 1 to ${MAX_KEY_LENGTH} characters ${form} in ${IDEMPOTENCY_KEY_HEADER}, found ${found}. Send it as "8e03978e-40d5-43dd-bc93-6894a57f9324", a String of RFC 9651.`,
  };
}

/** A body that is not compared. */
export function tooLarge({ payloadLimit }: ResolvedOptions): ProblemDetails {
  return {
    status: 413,
    code: "payload-too-large",
    detail: `Expected a body of at most ${payloadLimit} bytes, found a larger one. Send less, or ask for a higher limit.`,
  };
}
