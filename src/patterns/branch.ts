import type { Message } from "../core/consume.ts";
import type { Databases } from "../core/database-types.ts";
import type { BranchData } from "./branch-data.ts";

/** What a participant's handler is given: a message about a branch. */
export interface Branch<Data, All extends Databases = Databases> extends Pick<
  Message<Data, All>,
  "attempt" | "batch" | "data" | "run" | "signal" | "source" | "time" | "traceparent" | "tracestate" | "tx"
> {
  /** The branch: the same in its try, confirm and cancel, and in all their attempts. The key of what is reserved. */
  readonly id: string;
  /** The transaction of the caller. */
  readonly transactionId: string;
}

/** The branch that a message is about. */
export function branchOf<Data, All extends Databases>(message: Message<BranchData<Data>, All>): Branch<Data, All> {
  const { branch, transaction, data } = message.data;
  const { attempt, batch, run, signal, source, time, traceparent, tracestate, tx } = message;
  return {
    id: branch,
    transactionId: transaction,
    data,
    attempt,
    batch,
    run,
    signal,
    source,
    time,
    traceparent,
    tracestate,
    tx,
  };
}
