/**
 * Distributed transactional messages on the edge: a message goes out if, and only if, the business transaction that
 * produced it committed; and its effect happens once.
 *
 * @module
 */
export { aftercommit } from "./middleware/aftercommit.ts";
export type { Aftercommit } from "./middleware/aftercommit.ts";
export type { ConsumerHandler, ConsumerOptions } from "./middleware/consumer.ts";
export type { SubscriberHandler, SubscriberOptions, Subscribers } from "./middleware/subscriber.ts";
export { DEFAULT_BODY_LIMIT_BYTES, DEFAULT_MAX_MESSAGE_BYTES, DEFAULT_OPERATIONS_PATH } from "./middleware/options.ts";
export type { AftercommitOptions, ConsumerDefaults, OperationsOptions, RecoveryOptions } from "./middleware/options.ts";
export { transports } from "./middleware/transports.ts";
export { UNDECIDED_HEADER, UNPROTECTED_HEADER } from "./middleware/transaction.ts";
export type { AftercommitEnv, TransactionOptions } from "./middleware/transaction.ts";
export type { Operator } from "./operations/operator.ts";
export { consoleObserver } from "./system/console-observer.ts";

export { DEFAULT_RETRIES, topic } from "./model/topic.ts";
export type { FlowLimits, PreviousVersion, Topic, TopicDeclaration, TopicOptions } from "./model/topic.ts";
export { nextVersion } from "./model/topic-version.ts";
export type { Duration } from "./model/duration.ts";
export type { Envelope } from "./model/envelope.ts";
export type { DeliveryFacts, DeliveryRecord, ParentRun, SendOptions } from "./model/delivery.ts";
export type { SchemaIssue, SchemaResult, StandardSchema } from "./model/standard-schema.ts";
export type { CheckAnswer, Decision, DeliveryState, Level, TransactionState, Verdict } from "./model/states.ts";

export type { RunOptions } from "./core/barrier-transaction.ts";
export type { BranchOptions, BranchTarget } from "./core/branching.ts";
export type { Check } from "./core/core.ts";
export type {
  BatchName,
  Databases,
  HandleOf,
  InteractiveName,
  IsUntyped,
  Opened,
  ResultsOf,
  StatementOf,
} from "./core/database-types.ts";
export type { WithTransactionOptions } from "./core/with-transaction.ts";
export type { Handler, Message } from "./core/consume.ts";
export type { ChannelDelivery, Disposition, Subscriber } from "./core/receive.ts";
export type { RedriveOptions } from "./core/dead-letters.ts";
export { DEFAULT_SWEEP_MILLIS } from "./core/sweep.ts";
export type { SweepOptions, SweepReport } from "./core/sweep.ts";
export type { PublishOptions } from "./core/half-message.ts";
export type { PublishedMessage, Transaction } from "./core/transaction.ts";

export * from "./errors.ts";
export type * from "./model/barrier-row.ts";
export type * from "./ports/barrier.ts";
export type * from "./ports/clock.ts";
export type * from "./ports/crypto.ts";
export type * from "./ports/database.ts";
export type * from "./ports/dead-letters.ts";
export type * from "./ports/direct-calls.ts";
export type * from "./ports/inbox.ts";
export type * from "./ports/log-reader.ts";
export type * from "./ports/log-store.ts";
export type * from "./ports/observer.ts";
export type * from "./ports/payload-codec.ts";
export type * from "./ports/payload-store.ts";
export type * from "./ports/receiver.ts";
export type * from "./ports/transaction-log.ts";
export type * from "./ports/transport.ts";
