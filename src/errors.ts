/**
 * Every error this library throws, one class per kind of trouble.
 *
 * Outcomes that belong to the protocol (a lost race, a duplicate, a busy lease) are returned values, not errors.
 */

/** What went wrong, as a stable code that programs can compare. */
export type ErrorCode =
  | "ERR_CONFIGURATION"
  | "ERR_INVALID_MESSAGE"
  | "ERR_UNKNOWN_TOPIC"
  | "ERR_MESSAGE_TOO_LARGE"
  | "ERR_TRANSACTION_DECIDED"
  | "ERR_TRANSACTION_NESTED"
  | "ERR_TRANSACTION_LEVEL"
  | "ERR_NOT_COMMITTED"
  | "ERR_ROLLED_BACK"
  | "ERR_OUTCOME_UNKNOWN"
  | "ERR_DATABASE_NOT_READY"
  | "ERR_DATABASE_UNAVAILABLE"
  | "ERR_LOG_UNAVAILABLE"
  | "ERR_INBOX_UNAVAILABLE"
  | "ERR_TRANSPORT_UNAVAILABLE"
  | "ERR_PAYLOAD_UNAVAILABLE"
  | "ERR_NOT_FOUND"
  | "ERR_CONFLICT"
  | "ERR_EXPIRED"
  | "ERR_UNDECODABLE"
  | "ERR_REFUSED"
  | "ERR_PARTICIPANT_UNAVAILABLE"
  | "ERR_FATAL"
  | "ERR_RETRYABLE";

/** How errors look over HTTP; a code that is not here is the service's own fault: 500. */
const HTTP_ANSWERS: Partial<Record<ErrorCode, { readonly status: number; readonly retryAfterSeconds?: number }>> = {
  ERR_MESSAGE_TOO_LARGE: { status: 413 },
  ERR_ROLLED_BACK: { status: 503, retryAfterSeconds: 2 },
  ERR_DATABASE_UNAVAILABLE: { status: 503, retryAfterSeconds: 2 },
  ERR_LOG_UNAVAILABLE: { status: 503, retryAfterSeconds: 2 },
  ERR_INBOX_UNAVAILABLE: { status: 503, retryAfterSeconds: 2 },
  ERR_TRANSPORT_UNAVAILABLE: { status: 503, retryAfterSeconds: 2 },
  ERR_PAYLOAD_UNAVAILABLE: { status: 503, retryAfterSeconds: 2 },
  ERR_PARTICIPANT_UNAVAILABLE: { status: 503, retryAfterSeconds: 2 },
  ERR_REFUSED: { status: 409 },
  ERR_NOT_FOUND: { status: 404 },
  ERR_CONFLICT: { status: 409 },
  ERR_EXPIRED: { status: 409 },
};

/** The fields that every {@link AftercommitError} may carry. */
export interface ErrorDetails {
  /** What the reader should do about it, one sentence. */
  readonly hint: string;
  /** Whether the same call may succeed when it is made again. @default false */
  readonly retryable?: boolean;
  /** The error underneath, where there is one. */
  readonly cause?: unknown;
  /** The transaction it happened in. */
  readonly transactionId?: string;
  /** The message it happened to. */
  readonly messageId?: string;
}

/** The base of all errors of this library: compare `code`, or use the `is` of the class you mean. */
export class AftercommitError extends Error {
  /** What went wrong, for programs. */
  readonly code: ErrorCode;
  /** What to do about it, one sentence. */
  readonly hint: string;
  /** Whether the same call may succeed when it is made again. */
  readonly retryable: boolean;
  /** The transaction it happened in, where there was one. */
  readonly transactionId: string | undefined;
  /** The message it happened to, where there was one. */
  readonly messageId: string | undefined;

  /** Makes an error whose message ends with its hint. */
  constructor(code: ErrorCode, message: string, details: ErrorDetails) {
    super(`${message} ${details.hint}`, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = details.hint;
    this.retryable = details.retryable ?? false;
    this.transactionId = details.transactionId;
    this.messageId = details.messageId;
  }

  /** The answer for an error that reaches the HTTP framework: Hono's own error handler asks for it. */
  getResponse(): Response {
    const { status, retryAfterSeconds } = HTTP_ANSWERS[this.code] ?? { status: 500 };
    const headers = new Headers({ "content-type": "application/json", "cache-control": "no-store" });
    if (retryAfterSeconds !== undefined) headers.set("retry-after", String(retryAfterSeconds));
    const error = {
      code: this.code,
      ...(this.transactionId === undefined ? {} : { transactionId: this.transactionId }),
    };
    return new Response(JSON.stringify({ error }), { status, headers });
  }

  /** The codes that errors of this class have; every code for {@link AftercommitError} itself. */
  static readonly codes: readonly ErrorCode[] | undefined = undefined;

  /**
   * Tells whether a caught value is an error of this class, whichever copy of the package threw it. Database drivers
   * have errors with a code and a hint too: those are none.
   */
  static is<E extends AftercommitError>(
    this: { readonly prototype: E; readonly codes: readonly ErrorCode[] | undefined },
    value: unknown,
  ): value is E {
    if (!(value instanceof Error) || !("code" in value) || !("hint" in value) || !("getResponse" in value))
      return false;
    return this.codes?.some((code) => code === value.code) ?? String(value.code).startsWith("ERR_");
  }
}

/** One thing that a configuration gets wrong, and what to do about it. */
export interface ConfigurationProblem {
  /** Where in the configuration: `"publicUrl"`, `"routes[\"order.paid\"][0]"`. */
  readonly path: string;
  /** What would be right. */
  readonly expected: string;
  /** What is there, shortened. */
  readonly found: string;
  /** What to do about it. */
  readonly remedy: string;
}

/** The configuration cannot work: thrown at start, with every problem at once. */
export class ConfigurationError extends AftercommitError {
  /** The codes that its errors carry. */
  static override readonly codes: readonly ErrorCode[] = ["ERR_CONFIGURATION"];
  /** Everything that is wrong, in the order in which it was looked at. */
  readonly problems: readonly ConfigurationProblem[];

  /** Makes an error that lists the problems, each with its remedy. */
  constructor(problems: readonly ConfigurationProblem[]) {
    const lines = problems.map((p) => `\n  ${p.path}: expected ${p.expected}, found ${p.found}. ${p.remedy}`);
    const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
    super("ERR_CONFIGURATION", `The configuration has ${count}:${lines.join("")}\n`, {
      hint: "Mend them all, then start again.",
    });
    this.problems = problems;
  }
}

/** A message that cannot be sent as it is: its data, its headers, its destination or its size. */
export class InvalidMessageError extends AftercommitError {
  /** The codes that its errors carry. */
  static override readonly codes: readonly ErrorCode[] = [
    "ERR_INVALID_MESSAGE",
    "ERR_UNKNOWN_TOPIC",
    "ERR_MESSAGE_TOO_LARGE",
  ];

  /** Makes one; without a code it is `"ERR_INVALID_MESSAGE"`. */
  constructor(
    message: string,
    details: ErrorDetails & { readonly code?: "ERR_INVALID_MESSAGE" | "ERR_UNKNOWN_TOPIC" | "ERR_MESSAGE_TOO_LARGE" },
  ) {
    super(details.code ?? "ERR_INVALID_MESSAGE", message, details);
  }
}

/** A call on a transaction in a state that does not allow it: after its decision, inside itself, or at another level. */
export class TransactionStateError extends AftercommitError {
  /** The codes that its errors carry. */
  static override readonly codes: readonly ErrorCode[] = [
    "ERR_TRANSACTION_DECIDED",
    "ERR_TRANSACTION_NESTED",
    "ERR_TRANSACTION_LEVEL",
    "ERR_NOT_COMMITTED",
  ];

  /** Makes one, with the transaction's id among its details; without a code it is `"ERR_TRANSACTION_DECIDED"`. */
  constructor(
    message: string,
    details: ErrorDetails & {
      readonly code?:
        | "ERR_TRANSACTION_DECIDED"
        | "ERR_TRANSACTION_NESTED"
        | "ERR_TRANSACTION_LEVEL"
        | "ERR_NOT_COMMITTED";
    },
  ) {
    super(details.code ?? "ERR_TRANSACTION_DECIDED", message, details);
  }
}

/**
 * The transaction took so long that it was rolled back before it could commit: its SQL was undone, its rollback messages
 * go out. The same request may be made again.
 */
export class RolledBackError extends AftercommitError {
  /** The codes that its errors carry. */
  static override readonly codes: readonly ErrorCode[] = ["ERR_ROLLED_BACK"];

  /** Makes one for a transaction; its cause is what the database said. */
  constructor(transactionId: string, cause: unknown) {
    super("ERR_ROLLED_BACK", `Expected to commit "${transactionId}", found it rolled back by a check-back.`, {
      hint: "It took longer than recovery.deadline; nothing of it was kept, so that the request may be made again.",
      retryable: true,
      transactionId,
      cause,
    });
  }
}

/** COMMIT was sent, and its answer was lost: the transaction may have committed. Recovery finds out, and acts by it. */
export class OutcomeUnknownError extends AftercommitError {
  /** The codes that its errors carry. */
  static override readonly codes: readonly ErrorCode[] = ["ERR_OUTCOME_UNKNOWN"];

  /** Makes one for a transaction; its cause is what the driver said. */
  constructor(transactionId: string, cause: unknown) {
    super("ERR_OUTCOME_UNKNOWN", `Expected an answer to the COMMIT of "${transactionId}", found none.`, {
      hint: "It may have committed: look for its id among the business data before the request is made again.",
      transactionId,
      cause,
    });
  }
}

/** A business database that cannot be used as it is: a table or a privilege is missing, or it is a replica. */
export class DatabaseNotReadyError extends AftercommitError {
  /** The codes that its errors carry. */
  static override readonly codes: readonly ErrorCode[] = ["ERR_DATABASE_NOT_READY"];
  /** The statements that mend it, where SQL can. */
  readonly sql: string | undefined;

  /** Makes one; what is to be run stands in its message too. */
  constructor(message: string, details: ErrorDetails & { readonly sql?: string }) {
    const hint = details.sql === undefined ? details.hint : `${details.hint}\n${details.sql}`;
    super("ERR_DATABASE_NOT_READY", message, { ...details, hint });
    this.sql = details.sql;
  }
}

/** A store, a database or the transport did not answer, or answered with an error; the call may or may not have been applied. */
export class UnavailableError extends AftercommitError {
  /** The codes that its errors carry. */
  static override readonly codes: readonly ErrorCode[] = [
    "ERR_DATABASE_UNAVAILABLE",
    "ERR_LOG_UNAVAILABLE",
    "ERR_INBOX_UNAVAILABLE",
    "ERR_TRANSPORT_UNAVAILABLE",
    "ERR_PAYLOAD_UNAVAILABLE",
  ];

  /** Makes one that says who did not answer; always retryable. */
  constructor(
    code:
      | "ERR_DATABASE_UNAVAILABLE"
      | "ERR_LOG_UNAVAILABLE"
      | "ERR_INBOX_UNAVAILABLE"
      | "ERR_TRANSPORT_UNAVAILABLE"
      | "ERR_PAYLOAD_UNAVAILABLE",
    message: string,
    details: ErrorDetails,
  ) {
    super(code, message, { retryable: true, ...details });
  }
}

/** An operator's call that cannot be done: the thing is not there, or is in another state. */
export class OperationError extends AftercommitError {
  /** The codes that its errors carry. */
  static override readonly codes: readonly ErrorCode[] = ["ERR_NOT_FOUND", "ERR_CONFLICT", "ERR_EXPIRED"];

  /** Not there; there in another state; or too long ago. */
  declare readonly code: "ERR_NOT_FOUND" | "ERR_CONFLICT" | "ERR_EXPIRED";
}

/** A stored record that this version cannot read. */
export class UndecodableError extends AftercommitError {
  /** The codes that its errors carry. */
  static override readonly codes: readonly ErrorCode[] = ["ERR_UNDECODABLE"];

  /** Makes one; the record is left for a release that can read it. */
  constructor(message: string, details: ErrorDetails) {
    super("ERR_UNDECODABLE", message, details);
  }
}

/**
 * Thrown by a consumer's handler: no retry can help, bury the delivery now.
 *
 * @example
 * ```ts
 * if (order === undefined) throw new FatalError(`no order "${message.data.orderId}"`);
 * ```
 */
export class FatalError extends AftercommitError {
  /** The codes that its errors carry. */
  static override readonly codes: readonly ErrorCode[] = ["ERR_FATAL"];

  /** Makes one; the message is kept with the dead letter. */
  constructor(message: string, options: { readonly cause?: unknown } = {}) {
    super("ERR_FATAL", message, { hint: "The delivery goes to the dead letters; redrive it once mended.", ...options });
    this.message = message;
  }
}

/**
 * Thrown by a consumer's handler: try again, at the earliest after `retryAfter`.
 *
 * @example
 * ```ts
 * throw new RetryableError("the mail provider is busy", { retryAfter: "30s" });
 * ```
 */
export class RetryableError extends AftercommitError {
  /** The codes that its errors carry. */
  static override readonly codes: readonly ErrorCode[] = ["ERR_RETRYABLE"];

  /** How long the transport should wait, `"30s"` or milliseconds; the transport's own back-off where it is left out. */
  readonly retryAfter: string | number | undefined;

  /** Makes one; without `retryAfter` the transport's own back-off applies. */
  constructor(message: string, options: { readonly retryAfter?: string | number; readonly cause?: unknown } = {}) {
    super("ERR_RETRYABLE", message, {
      hint: "The transport tries again.",
      retryable: true,
      ...(options.cause === undefined ? {} : { cause: options.cause }),
    });
    this.message = message;
    this.retryAfter = options.retryAfter;
  }
}
