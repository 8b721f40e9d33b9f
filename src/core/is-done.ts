import { addressOf } from "../model/destination.ts";
import { askInbox } from "./ask.ts";
import { readableInboxes } from "./core.ts";
import type { Core } from "./core.ts";
import { databaseInbox } from "./databases.ts";

/** Whether the consumer at that URL has done the message, as far as an inbox shared with it can tell. */
export async function isDone(core: Core, url: string, messageId: string): Promise<boolean> {
  const subject = url.split("?")[0]!;
  const consumer = addressOf(url)?.subscriber ?? core.consumerNames.get(subject) ?? subject;
  const inDatabases = [...core.databases.keys()].map((name) => databaseInbox(core, name));
  for (const inbox of [...readableInboxes(core), ...inDatabases]) {
    const found = await askInbox(core, "the inbox to tell of a message", () => inbox.look({ consumer, messageId }));
    if (found.state === "done") return true;
  }
  return false;
}
