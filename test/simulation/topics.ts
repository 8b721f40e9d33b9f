import { topic } from "aftercommit";
import type { StandardSchema } from "aftercommit";

/** Lets everything through: what schemas do is tested elsewhere. */
function anything<T>(): StandardSchema<T, T> {
  return { "~standard": { version: 1, vendor: "simulation", validate: (value) => ({ value: value as T }) } };
}

/** Where the shop and the ledger are reached. */
export const SHOP = "https://shop.example.com";
export const LEDGER = "https://ledger.example.net";
/** The source of the shop's rows and messages. */
export const SOURCE = `${SHOP}/`;

/** Money that has left one account is to arrive at another. */
export const transfer = topic("transfer", anything<{ readonly to: number; readonly amount: number }>());
/** Something is to be noted, here by a plain consumer and by the ledger. */
export const noted = topic("noted", anything<{ readonly request: number }>());
/** Something is paid; two consumers send that on. */
export const paid = topic("paid", anything<{ readonly request: number }>());
/** What they send on. */
export const arrived = topic("arrived", anything<{ readonly parent: string; readonly by: string }>());
/** A request was rolled back. */
export const undone = topic("undone", anything<{ readonly request: number }>());

/** Where the messages of each topic go. */
export const ROUTES: Readonly<Record<string, readonly string[]>> = {
  [transfer.name]: [`${SHOP}/consumers/credit`],
  [noted.name]: [`${SHOP}/consumers/note`, `${LEDGER}/consumers/book`],
  [paid.name]: [`${SHOP}/consumers/forward`, `${SHOP}/consumers/relay`],
  [arrived.name]: [`${SHOP}/consumers/arrive`],
  [undone.name]: [`${SHOP}/consumers/undo`],
};

/** The consumers whose effect is in their database, and happens once. */
export const EXACT = ["credit", "forward", "arrive", "undo", "book"] as const;
