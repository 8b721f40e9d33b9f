/** What is used of a producer binding, by shape. */
export interface QueueLike {
  /** Sends messages, all or none of them: at most 100, and 256 KB in all. */
  sendBatch(messages: QueueSendLike[]): Promise<unknown>;
}

/** A message as it is sent. */
export interface QueueSendLike {
  /** The text. */
  readonly body: string;
  /** Text goes to the letter, and can be read by a consumer in any language. */
  readonly contentType: "text";
  /** How long the queue keeps it back. */
  readonly delaySeconds?: number;
}

/** What is used of the batch that a `queue()` handler is given, by shape. */
export interface QueueBatchLike {
  /** The queue's own name. */
  readonly queue: string;
  /** What came out of it. */
  readonly messages: readonly QueueMessageLike[];
}

/** What is used of its messages. */
export interface QueueMessageLike {
  /** Cloudflare's id. */
  readonly id: string;
  /** What was sent. */
  readonly body: unknown;
  /** How often it was delivered, this time included. */
  readonly attempts: number;
  /** Takes it out of the queue, whatever becomes of its batch. */
  ack(): void;
  /** Puts it back, whatever becomes of its batch. */
  retry(options?: { delaySeconds?: number }): void;
}
