/** What an order asks the shop for. */
export type OrderKind =
  /** Is written, and answered 201. */
  | "paid"
  /** Is refused with 402 after its message was published. */
  | "refused"
  /** Is written; then the handler throws, and the answer is 500. */
  | "throws"
  /** Is paid, and no consumer can handle its message. */
  | "poison";

/** One order to send. */
export interface PlannedOrder {
  readonly number: number;
  readonly kind: OrderKind;
  /** Unique: by it the order is found again in the database and in QStash's log, even if it was never answered. */
  readonly item: string;
  readonly cents: number;
}

/**
 * What the shop has just done when it is killed: kept a half message, so that the outcome is open; decided, so that
 * nothing is sent and answered yet; sent a message; run a consumer.
 */
export const KILL_MOMENTS = ["prepared", "decided", "published", "consumed"] as const;
export type KillMoment = (typeof KILL_MOMENTS)[number];

/** When to kill the shop. */
export interface PlannedKill {
  /** So many orders have been begun. */
  readonly afterOrders: number;
  /** And the shop has just said that it did this for some request. */
  readonly upon: KillMoment;
}

/** All that is drawn: the same for the same seed. */
export interface Plan {
  readonly orders: readonly PlannedOrder[];
  readonly kills: readonly PlannedKill[];
}

const REFUSED_SHARE = 0.12;
const THROWS_SHARE = 0.1;

/** Draws orders and kills: the kills spread over the orders, the poison among those before the first kill. */
export function drawPlan(seed: number, orders: number, kills: number): Plan {
  const random = randomFrom(seed);
  const segment = orders / (kills + 0.5);
  const poison = Math.floor(random() * segment * 0.3);
  return {
    orders: Array.from({ length: orders }, (_, i) => {
      const draw = random();
      const kind = draw < REFUSED_SHARE ? "refused" : draw < REFUSED_SHARE + THROWS_SHARE ? "throws" : "paid";
      const cents = 100 + Math.floor(random() * 9_900);
      return i === poison
        ? { number: i + 1, kind: "poison", item: "poison", cents }
        : { number: i + 1, kind, item: `item-${i + 1}`, cents };
    }),
    kills: Array.from({ length: kills }, (_, i) => ({
      afterOrders: Math.ceil(segment * (i + 0.5 + random() * 0.5)),
      upon: KILL_MOMENTS[Math.floor(random() * KILL_MOMENTS.length)]!,
    })),
  };
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
