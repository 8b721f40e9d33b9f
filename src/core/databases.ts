import { ConfigurationError, UnavailableError, AftercommitError } from "../errors.ts";
import type { AnyDatabase } from "../ports/database.ts";
import type { Inbox, InboxReader } from "../ports/inbox.ts";
import type { Core } from "./core.ts";

/**
 * Uses a business database: the configured one, or one that its factory opens for this use and that is closed after it.
 *
 * @throws {UnavailableError} where it cannot be opened; then nothing was done.
 */
export async function withDatabase<T>(
  core: Pick<Core, "databases" | "emit">,
  name: string,
  act: (database: AnyDatabase) => Promise<T>,
): Promise<T> {
  const source = core.databases.get(name);
  if (source === undefined) throw unknownDatabase(core, name);
  if (typeof source !== "function") return act(source);
  const database = await open(name, source);
  try {
    return await act(database);
  } finally {
    // Nobody waits for the end of a connection whose work is done.
    void database.close?.().catch((error: unknown) => core.emit({ type: "background", error }));
  }
}

async function open(name: string, factory: () => AnyDatabase | Promise<AnyDatabase>): Promise<AnyDatabase> {
  try {
    return await factory();
  } catch (error) {
    if (AftercommitError.is(error)) throw error;
    throw new UnavailableError("ERR_DATABASE_UNAVAILABLE", `Expected to open the database "${name}", found an error.`, {
      hint: "Nothing was done yet, so that the request may be made again; its cause is attached.",
      cause: error,
    });
  }
}

/** An inbox in a business database, opened for each use. */
export function databaseInbox(core: Pick<Core, "databases" | "emit">, name: string): Inbox & InboxReader {
  const use = <T>(act: (inbox: Inbox & InboxReader) => Promise<T>) =>
    withDatabase(core, name, (database) => act(database.inbox));
  return {
    claim: (claim, leaseMillis) => use((inbox) => inbox.claim(claim, leaseMillis)),
    renew: (claim, leaseMillis) => use((inbox) => inbox.renew(claim, leaseMillis)),
    complete: (claim, completion) => use((inbox) => inbox.complete(claim, completion)),
    release: (claim) => use((inbox) => inbox.release(claim)),
    look: (key) => use((inbox) => inbox.look(key)),
  };
}

function unknownDatabase({ databases }: Pick<Core, "databases">, name: string): ConfigurationError {
  const known = [...databases.keys()].map((key) => JSON.stringify(key)).join(", ");
  return new ConfigurationError([
    {
      path: `databases.${name}`,
      expected: "a database of that name",
      found: known === "" ? "none at all" : known,
      remedy: "Register it: databases: { main: nodePostgres(pool) }.",
    },
  ]);
}
