import { Hono } from "hono";
import { describe, expect, test } from "vitest";
import {
  AftercommitError,
  ConfigurationError,
  FatalError,
  InvalidMessageError,
  OperationError,
  RetryableError,
  TransactionStateError,
  UnavailableError,
  UndecodableError,
} from "aftercommit";

const hint = "Do this.";
const all: readonly AftercommitError[] = [
  new ConfigurationError([]),
  new InvalidMessageError("a", { hint }),
  new TransactionStateError("a", { hint }),
  new UnavailableError("ERR_LOG_UNAVAILABLE", "a", { hint }),
  new OperationError("ERR_CONFLICT", "a", { hint }),
  new UndecodableError("a", { hint }),
  new FatalError("a"),
  new RetryableError("a"),
];
const classes = [
  ConfigurationError,
  InvalidMessageError,
  TransactionStateError,
  UnavailableError,
  OperationError,
  UndecodableError,
  FatalError,
  RetryableError,
];

describe("is", () => {
  test("tells the errors of its class from all others", () => {
    for (const [i, kind] of classes.entries()) {
      expect(
        all.map((error) => kind.is(error)),
        kind.name,
      ).toEqual(all.map((_, j) => i === j));
    }
    for (const error of all) expect(AftercommitError.is(error)).toBe(true);
  });

  test("knows the errors of another copy of the package", () => {
    class Copy extends Error {
      readonly code = "ERR_FATAL";
      readonly hint = hint;
      getResponse(): Response {
        return new Response();
      }
    }
    expect([FatalError.is(new Copy()), AftercommitError.is(new Copy()), RetryableError.is(new Copy())]).toEqual([
      true,
      true,
      false,
    ]);
  });

  test("does not take other errors for ours", () => {
    const others = [
      undefined,
      null,
      "ERR_FATAL",
      new Error("a"),
      Object.assign(new Error("a driver's"), { code: "40P01", hint: "See the log." }),
      Object.assign(new Error("Node's"), { code: "ERR_INVALID_ARG_TYPE" }),
      { code: "ERR_FATAL", hint, getResponse: () => new Response() },
    ];
    for (const other of others) expect(AftercommitError.is(other)).toBe(false);
  });
});

describe("an error over HTTP", () => {
  const answers: [AftercommitError, number, string | null][] = [
    [new InvalidMessageError("a", { hint, code: "ERR_MESSAGE_TOO_LARGE" }), 413, null],
    [new UnavailableError("ERR_LOG_UNAVAILABLE", "a", { hint }), 503, "2"],
    [new UnavailableError("ERR_INBOX_UNAVAILABLE", "a", { hint }), 503, "2"],
    [new UnavailableError("ERR_TRANSPORT_UNAVAILABLE", "a", { hint }), 503, "2"],
    [new OperationError("ERR_NOT_FOUND", "a", { hint }), 404, null],
    [new OperationError("ERR_CONFLICT", "a", { hint }), 409, null],
    [new OperationError("ERR_EXPIRED", "a", { hint }), 409, null],
    [new ConfigurationError([]), 500, null],
    [new TransactionStateError("secret", { hint, transactionId: "0197-tx", cause: new Error("secret") }), 500, null],
  ];
  for (const [error, status, retryAfter] of answers) {
    test(`${error.code} is ${status}, and tells its code and ids alone`, async () => {
      const app = new Hono();
      app.get("/", () => {
        throw error;
      });
      const response = await app.request("/");
      expect(response.status).toBe(status);
      expect(response.headers.get("retry-after")).toBe(retryAfter);
      expect(response.headers.get("cache-control")).toBe("no-store");
      const { transactionId } = error;
      expect(await response.json()).toEqual({
        error: { code: error.code, ...(transactionId === undefined ? {} : { transactionId }) },
      });
    });
  }

  test("says what to do, and keeps its cause", () => {
    const cause = new Error("underneath");
    const error = new UnavailableError("ERR_LOG_UNAVAILABLE", "Expected an answer.", { hint, cause });
    expect(error.message).toBe("Expected an answer. Do this.");
    expect(error).toMatchObject({ name: "UnavailableError", hint, cause, retryable: true });
  });
});
