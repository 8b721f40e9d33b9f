/** An order as the shop keeps it. */
export interface Order {
  readonly id: string;
  /** The transaction it was written in: what a check looks for. */
  readonly transactionId: string;
  readonly item: string;
  readonly cents: number;
}

/** What one run of a consumer did, kept so that the demo can count effects. */
export interface Effect {
  readonly consumer: string;
  readonly messageId: string;
  readonly orderId: string;
  /** Which start of the shop did it. */
  readonly boot: string;
}

/** The shop's business data. */
export interface Orders {
  insert(order: Order): Promise<void>;
  /** Whether an order was written in that transaction. */
  hasTransaction(transactionId: string): Promise<boolean>;
  /** Sends a receipt or takes from stock: the effect of a message. */
  act(effect: Effect): Promise<void>;
}
