import { accountKey, ACCOUNTS, effectKey, OPENING } from "../effects.ts";
import { EXACT, LEDGER, SHOP } from "../topics.ts";
import type { World } from "../world.ts";
import { inboxKeyOf } from "./log.ts";

/** Effects have happened once where that is promised, at least once elsewhere, and for nothing that was never sent. */
export function checkEffects(world: World): void {
  const { oracle } = world;
  const main = world.main.database.table();
  const books = world.books.database.table();
  for (const table of [main, books])
    for (const [key, count] of table) {
      const [kind, consumer, messageId = ""] = key.split("/");
      if (kind !== "effect") continue;
      if (count !== 1) oracle.violate("an effect happens once", `${key} ${String(count)} times`);
      if (!oracle.directions.messageIds.has(messageId))
        oracle.violate("an effect has a message", `${consumer} of ${messageId}`);
    }
  for (const arrival of oracle.arrived) {
    const [url = "", messageId = ""] = arrival.split(" ");
    const consumer = consumerAt(url);
    if (!isDone(world, url, messageId))
      oracle.violate("what was answered with success is done", `${consumer} of ${messageId}`);
    if (consumer === "forward" || consumer === "relay") checkSentOn(world, main, consumer, url, messageId);
  }
  checkBank(world, main);
}

/** Whether the consumer at a URL has done a message: a row says so where its effect is in a database. */
export function isDone({ oracle, main, books }: World, url: string, messageId: string): boolean {
  const consumer = consumerAt(url);
  if (!(EXACT as readonly string[]).includes(consumer)) return oracle.plain.has(`${consumer} ${messageId}`);
  const { database } = url.startsWith(LEDGER) ? books : main;
  return database.table().has(effectKey(consumer, messageId));
}

function consumerAt(url: string): string {
  return url.slice(url.lastIndexOf("/") + 1);
}

/** What a consumer has sent on has arrived once, unless Redis lost it. */
function checkSentOn(
  { oracle }: World,
  main: ReadonlyMap<string, unknown>,
  consumer: "forward" | "relay",
  url: string,
  messageId: string,
): void {
  const { log } = oracle;
  const run = inboxKeyOf({ consumer: url, messageId });
  const lost = [...log.parents].some(([id, parent]) => parent === run && log.lost.transactions.has(id));
  if (lost || log.lost.inbox.has(run)) return;
  const dropped = [...oracle.dropped].some((delivery) => delivery.startsWith(`${SHOP}/consumers/arrive `));
  const by = consumer === "forward" ? "forwarded" : "relayed";
  if (!main.has(effectKey(by, messageId)) && !dropped)
    oracle.violate("what a consumer sends arrives", `${consumer} of ${messageId}`);
}

/** Money is neither made nor lost: what has left an account is on another one, unless a person dropped it on the way. */
function checkBank({ oracle, requests }: World, main: ReadonlyMap<string, unknown>): void {
  const violate = (detail: string): void => oracle.violate("money is neither made nor lost", detail);
  let total = 0;
  for (let number = 0; number < ACCOUNTS; number++) total += main.get(accountKey(number)) as number;
  let taken = 0;
  for (const { transactionId, plan } of requests)
    if (transactionId !== undefined && oracle.rows.orders.has(transactionId)) taken += plan.amount;
  let credited = 0;
  for (const [messageId, amount] of oracle.directions.amounts)
    if (main.has(effectKey("credit", messageId))) credited += amount;
  if (total !== ACCOUNTS * OPENING - taken + credited)
    violate(`${total} on accounts, ${taken} taken, ${credited} credited`);
  const promised = requests.every(({ level }) => level === "barrier") && oracle.dropped.size === 0;
  if (promised && total !== ACCOUNTS * OPENING) violate(`${total} on accounts in the end`);
}
