import type { MemorySql } from "aftercommit/memory";

/** The key under which a database counts how often the effect of a message has happened. */
export function effectKey(consumer: string, messageId: string): string {
  return `effect/${consumer}/${messageId}`;
}

/** Counts one effect more, in the SQL transaction of whoever acts. */
export async function act(sql: MemorySql, consumer: string, messageId: string): Promise<void> {
  const key = effectKey(consumer, messageId);
  await sql.put(key, (((await sql.get(key)) as number | undefined) ?? 0) + 1);
}

/** The key of an account; all of them begin with the same amount. */
export function accountKey(number: number): string {
  return `account/${number}`;
}

/** How many accounts there are, and what is on each in the beginning. */
export const ACCOUNTS = 3;
export const OPENING = 100;

/** Puts an amount on an account, or takes it off. */
export async function book(sql: MemorySql, account: number, amount: number): Promise<void> {
  const key = accountKey(account);
  await sql.put(key, ((await sql.get(key)) as number) + amount);
}

/** The key of the row that says that a request's work was done, and in which transaction. */
export function orderKey(request: number): string {
  return `order/${request}`;
}
