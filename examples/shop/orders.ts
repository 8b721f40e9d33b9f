import type { Check, DatabaseSource, Message, Transaction } from "aftercommit";

/** An order as it comes in. */
export interface Order {
  readonly id: string;
  readonly item: string;
  readonly cents: number;
}

/** What one run of a consumer did, kept so that the demo can count effects. */
export interface Effect {
  readonly consumer: string;
  readonly orderId: string;
  /** Which start of the shop did it. */
  readonly boot: string;
}

/** The shop's business data. Each kind of database has its own, and each writes by the transaction that it is given. */
export interface Orders {
  /** Decides the shop's transactions by its own COMMIT, and remembers what was consumed: level `barrier`. */
  readonly database?: DatabaseSource;
  /** Where it does not take part: tells afterwards what became of a transaction, at level `checked`. */
  readonly check?: Check;
  /** Writes an order, and with it the messages that `tx` has published. */
  insert(tx: Transaction, order: Order): Promise<void>;
  /** Sends a receipt or takes from stock: the effect of a message. */
  act(message: Message<unknown>, effect: Effect): Promise<void>;
}
