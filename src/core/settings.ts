/** The numbers the protocol runs by, resolved from the configuration; all durations in milliseconds. */
export interface Settings {
  /** Who sends: the `source` of every envelope. */
  readonly source: string;
  /** Where the transport reports failures; absent where this service cannot verify such a report. */
  readonly failureUrl: string | undefined;
  /** The signed sweep route that the watchdog calls. */
  readonly sweepUrl: string | undefined;
  /** How long after its preparation an undecided half message is looked into. */
  readonly deadlineMillis: number;
  /** How long after its commit what a barrier transaction sends is taken up by a sweep, if the request has not sent it. */
  readonly resumeAfterMillis: number;
  /** How long one transaction of our own on a business database may take. */
  readonly databaseTimeoutMillis: number;
  /** How long one call of the log or the inbox may take. */
  readonly storeTimeoutMillis: number;
  /** How long one call of the transport may take. */
  readonly transportTimeoutMillis: number;
  /** How long a sweeper owns what it claimed. */
  readonly claimLeaseMillis: number;
  /** How many records a sweeper claims at once. */
  readonly claimLimit: number;
  /** How long after it was sent a delivery's arrival is looked for in the transport's event log; the waits after that grow. */
  readonly confirmAfterMillis: number;
  /** How long a delivery may stay unconfirmed before it is listed as such. */
  readonly retryHorizonMillis: number;
  /** How often a check is asked before the transaction is held. */
  readonly checkAttempts: number;
  /** The space between two "no" answers of a check. */
  readonly checkSpacingMillis: number;
  /** How long decisions are kept, in the log and in barrier rows. */
  readonly decisionRetentionMillis: number;
  /** How long after its burial a delivery may be redriven under its own message id. */
  readonly redriveWithinMillis: number;
  /** The least time between two audits of one process. */
  readonly auditEveryMillis: number;
  /** The largest body of a message, in bytes. */
  readonly maxMessageBytes: number;
  /** The width of a watchdog bucket; absent without a watchdog. */
  readonly watchdogMillis: number | undefined;
  /** How long a consumer's run owns its message between two renewals. */
  readonly inboxLeaseMillis: number;
  /** How often a running handler's lease is renewed. */
  readonly inboxRenewMillis: number;
  /** How long a consumed message is remembered. */
  readonly inboxRetentionMillis: number;
  /** The largest body that a consumer reads, in bytes. */
  readonly bodyLimitBytes: number;
}
