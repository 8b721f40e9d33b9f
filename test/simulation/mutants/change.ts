import type {
  AnyDatabase,
  Barrier,
  Inbox,
  InboxReader,
  LogStore,
  Transport,
  UnitOfWork,
  UnitOutcome,
} from "aftercommit";
import type { Ports } from "../mutants.ts";

/** The ports with other databases: the change is made to each. */
export function withDatabases(ports: Ports, change: (database: AnyDatabase) => AnyDatabase): Ports {
  const changed = Object.entries(ports.databases ?? {}).map(
    ([name, database]) => [name, change(database as AnyDatabase)] as const,
  );
  return { ...ports, databases: Object.fromEntries(changed) };
}

/** The ports with another barrier. */
export function withBarrier(
  ports: Ports,
  change: (barrier: Barrier, database: AnyDatabase) => Partial<Barrier>,
): Ports {
  return withDatabases(ports, (database) => ({
    ...database,
    barrier: { ...database.barrier, ...change(database.barrier, database) },
  }));
}

/** The ports with SQL transactions whose work is done otherwise. */
export function withUnits(
  ports: Ports,
  change: (unit: UnitOfWork<unknown>, database: AnyDatabase) => Partial<UnitOfWork<unknown>>,
): Ports {
  return withDatabases(ports, (database) => {
    const { run } = database;
    if (run === undefined) return database;
    return {
      ...database,
      run: (work, options) => run((unit) => work({ ...unit, ...change(unit, database) }), options),
    };
  });
}

/** The ports with SQL transactions, interactive ones and batches, that are told to have ended otherwise. */
export function withOutcomes(
  ports: Ports,
  change: <T>(outcome: UnitOutcome<T>, database: AnyDatabase) => UnitOutcome<T> | Promise<UnitOutcome<T>>,
): Ports {
  return withDatabases(ports, (database) => {
    const { run, batch } = database;
    return {
      ...database,
      ...(run && { run: async (work, options) => change(await run(work, options), database) }),
      ...(batch && { batch: async (statements, riders) => change(await batch(statements, riders), database) }),
    };
  });
}

/** The ports with another log. */
export function withLog(ports: Ports, change: (log: LogStore) => Partial<LogStore>): Ports {
  return ports.log === undefined ? ports : { ...ports, log: { ...ports.log, ...change(ports.log) } };
}

/** The ports with another way to consume: the log's inbox, and those of the databases. */
export function withInboxes(ports: Ports, change: (inbox: Inbox & InboxReader) => Partial<Inbox & InboxReader>): Ports {
  const inLog = withLog(ports, ({ inbox }) => ({ inbox: { ...inbox, ...change(inbox) } }));
  return withDatabases(inLog, (database) => ({
    ...database,
    inbox: { ...database.inbox, ...change(database.inbox) },
  }));
}

/** The ports with another transport. */
export function withTransport(ports: Ports, change: (transport: Transport) => Partial<Transport>): Ports {
  return ports.transport === undefined
    ? ports
    : { ...ports, transport: { ...ports.transport, ...change(ports.transport) } };
}
