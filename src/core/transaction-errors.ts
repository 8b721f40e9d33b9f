import { TransactionStateError } from "../errors.ts";

/** Something is published, or run, after the decision. */
export function decidedError(transactionId: string): TransactionStateError {
  return new TransactionStateError(`Expected an open transaction, found "${transactionId}" ended.`, {
    hint: "Publish before the handler returns its response, and await it; work that goes on afterwards needs a transaction of its own.",
    transactionId,
  });
}

/** A call that the transaction's level does not have. */
export function levelError(
  transactionId: string,
  message: string,
  { hint }: { readonly hint: string },
): TransactionStateError {
  return new TransactionStateError(message, { code: "ERR_TRANSACTION_LEVEL", hint, transactionId });
}

/** Another database than the one that decides. */
export function otherDatabaseError(transactionId: string, asked: string, name: string): TransactionStateError {
  return levelError(transactionId, `Expected the database "${name}" of this transaction, found "${asked}".`, {
    hint: "One transaction is decided in one database: use that one, or declare the other for the route.",
  });
}

/** A message for a rollback, inside of what rolls back. */
export function rollbackInsideError(transactionId: string): TransactionStateError {
  return levelError(transactionId, "Expected messages for a rollback before the work begins, found one inside of it.", {
    hint: 'Call tx.try, tx.step and tx.publish with { on: "rollback" } before tx.run: what rolls back with the work could not tell of it.',
  });
}

/** A SQL transaction inside of another. */
export function nestedError(transactionId: string, verb: string): TransactionStateError {
  return new TransactionStateError(`Expected one SQL transaction at a time, found tx.${verb} inside of tx.run.`, {
    code: "ERR_TRANSACTION_NESTED",
    hint: "Use the handle that the work is given, or tx.savepoint for a part that may be rolled back alone.",
    transactionId,
  });
}

/** SQL at a level that has none. */
export function noDatabaseError(transactionId: string, verb: string): TransactionStateError {
  return levelError(transactionId, `Expected a transaction with a database for tx.${verb}, found one without.`, {
    hint: 'Declare it where the route or the consumer is mounted: ac.transaction({ database: "main" }).',
  });
}

/** A success that forgot to commit. */
export function notCommittedError(transactionId: string, waiting: number): TransactionStateError {
  return new TransactionStateError(
    `Expected tx.run or tx.batch to commit what was published, found neither called, and ${waiting} deliveries waiting.`,
    {
      code: "ERR_NOT_COMMITTED",
      hint: "Do the business work in tx.run or tx.batch: its commit sends the messages. Nothing was sent.",
      transactionId,
    },
  );
}
