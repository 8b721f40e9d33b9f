import { beginsOrEnds } from "./postgres-words.ts";

type Callable = (...given: readonly unknown[]) => unknown;

/**
 * The handle on a transaction, refused once that is over. Without that, a query on the handle of a transaction whose
 * connection was lost would run on the connection that took its place, outside of any transaction, or in another one.
 * What would end the transaction is refused as well.
 */
export function whileOpen<Sql extends object>(sql: Sql, isOpen: () => boolean): Sql {
  const assertOpen = (text: unknown): void => {
    if (!isOpen()) throw new Error("Expected a query within its transaction, found the transaction over.");
    if (typeof text === "string" && beginsOrEnds(text)) {
      throw new Error(`Expected a query, found "${text.trim()}". Leave the beginning and the end to the transaction.`);
    }
  };
  return new Proxy(sql, {
    apply(target, self, given) {
      const [first] = given as readonly unknown[];
      assertOpen(Array.isArray(first) && "raw" in first ? first[0] : undefined);
      return Reflect.apply(target as Callable, self, given);
    },
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      switch (name) {
        case "unsafe":
        case "file":
        case "notify":
          return (...given: readonly unknown[]) => {
            assertOpen(name === "unsafe" ? given[0] : undefined);
            return (value as Callable)(...given);
          };
        case "savepoint":
          return (...given: readonly unknown[]) => {
            assertOpen(undefined);
            const work = given.at(-1) as (part: object) => unknown;
            const part = (bare: object) => unlessLost(() => work(whileOpen(bare, isOpen)), isOpen);
            return (value as Callable)(...given.slice(0, -1), part);
          };
        case "prepare":
          return () => assertOpen("PREPARE TRANSACTION");
        default:
          return value;
      }
    },
  });
}

/**
 * Does the work of a transaction, or of a part of it, and does not come to an end where the connection was lost:
 * postgres (3.4) would send COMMIT or ROLLBACK on the connection that is gone, which ends the process. Nobody waits for
 * that end, as the transaction has been rejected by then.
 */
export async function unlessLost(work: () => unknown, isOpen: () => boolean): Promise<unknown> {
  try {
    const done = work();
    const value: unknown = await (Array.isArray(done) ? Promise.all(done) : done);
    // Work may swallow the error of a query that met the loss; the transaction hears of it a few microtasks later.
    for (let turn = 0; turn < 8; turn++) await Promise.resolve();
    if (isOpen()) return value;
  } catch (error) {
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (isOpen()) throw error;
  }
  return new Promise<never>(() => undefined);
}
