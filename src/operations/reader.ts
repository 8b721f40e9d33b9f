import { askDatabase, askReader } from "../core/ask.ts";
import type { Core } from "../core/core.ts";
import { withDatabase } from "../core/databases.ts";
import { findDeadLetter } from "../core/dead-letters.ts";
import { isHint } from "../core/hint.ts";
import { rowLetter } from "../core/row-letters.ts";
import { currentRecord, pendingRecords } from "../model/barrier-row.ts";
import type { DecisionRow } from "../model/barrier-row.ts";
import type { FoundRow } from "../ports/barrier.ts";
import type { AnyDatabase } from "../ports/database.ts";
import type { DeadLetter } from "../ports/dead-letters.ts";
import type { LogReader, Page, PageOptions, TransactionView, UnsettledView } from "../ports/log-reader.ts";

type List<T> = (page: PageOptions) => Promise<Page<T>>;

/** Reads the log and the rows of all databases as one: first what the log has, then each database's. */
export function combinedReader(core: Core): LogReader {
  const names = [...core.databases.keys()];
  const { source } = core.settings;
  const inLog = <T>(call: (reader: LogReader) => Promise<T>) =>
    askReader(core, "the log to be read", () => call(core.store!.reader));
  const inDatabase = <T>(name: string, call: (database: AnyDatabase) => Promise<T>) =>
    withDatabase(core, name, (database) => askDatabase(core, "the database to be read", () => call(database)));
  const lists = <T>(
    log: (reader: LogReader, page: PageOptions) => Promise<Page<T>>,
    rows: (database: AnyDatabase, page: PageOptions) => Promise<Page<T>>,
  ): readonly List<T>[] => [
    ...(core.store === undefined ? [] : [(page: PageOptions) => inLog((reader) => log(reader, page))]),
    ...names.map((name) => (page: PageOptions) => inDatabase(name, (database) => rows(database, page))),
  ];

  return {
    async transaction(transactionId) {
      const found: TransactionView =
        core.store === undefined
          ? { transactionId, unsettled: [], held: [], dead: [] }
          : await inLog((reader) => reader.transaction(transactionId));
      const view = { ...found, unsettled: found.unsettled.filter(({ record }) => !isHint(record)) };
      for (const name of names) {
        const rows = await inDatabase(name, ({ barrier }) => barrier.find([transactionId]));
        const entry = rows.get(transactionId);
        if (entry !== undefined) return withRow(view, entry);
      }
      return view;
    },

    deadLetter: (key) => findDeadLetter(core, key),

    listDead: chained(
      lists(
        (reader, page) => reader.listDead(page),
        async ({ reader }, page) => expanded(await reader.listDead(source, page), lettersOf),
      ),
    ),

    listHeld: async (page) => (core.store === undefined ? { items: [] } : inLog((reader) => reader.listHeld(page))),

    listUnsettled: chained(
      lists(
        async (reader, page) =>
          expanded(await reader.listUnsettled(page), (view) => (isHint(view.record) ? [] : [view])),
        async ({ reader }, page) =>
          expanded(await reader.listUnsettled(source, page), ({ found, dueAt }) => unsettledOf(found, dueAt)),
      ),
    ),

    async counts() {
      const sum = { unsettled: 0, held: 0, dead: 0, decisions: 0 };
      const add = (counts: Partial<typeof sum>) => {
        for (const name of ["unsettled", "held", "dead", "decisions"] as const) sum[name] += counts[name] ?? 0;
      };
      if (core.store !== undefined) add(await inLog((reader) => reader.counts()));
      for (const name of names) add(await inDatabase(name, ({ reader }) => reader.counts(source)));
      return sum;
    },
  };
}

/** Several lists as one; a cursor says in which of them it goes on, and where. */
function chained<T>(lists: readonly List<T>[]): (page?: PageOptions) => Promise<Page<T>> {
  const read = async (cursor: string, limit: number | undefined): Promise<Page<T>> => {
    const at = Number.parseInt(cursor, 10);
    const inner = cursor.slice(cursor.indexOf(":") + 1);
    const list = lists[at];
    if (list === undefined) return { items: [] };
    const found = await list({ ...(limit === undefined ? {} : { limit }), ...(inner === "" ? {} : { cursor: inner }) });
    if (found.cursor !== undefined) return { items: found.items, cursor: `${at}:${found.cursor}` };
    return at + 1 < lists.length ? { items: found.items, cursor: `${at + 1}:` } : { items: found.items };
  };
  return async ({ cursor = "0:", limit } = {}) => {
    let page = await read(cursor, limit);
    // An empty page looks like the end of the list to people.
    while (page.items.length === 0 && page.cursor !== undefined) page = await read(page.cursor, limit);
    return page;
  };
}

function expanded<Row, T>({ items, cursor }: Page<Row>, expand: (row: Row) => readonly T[]): Page<T> {
  const all = items.flatMap(expand);
  return cursor === undefined ? { items: all } : { items: all, cursor };
}

function lettersOf(row: DecisionRow): readonly DeadLetter[] {
  return row.records.flatMap((record) => {
    const letter = rowLetter({ row, record: currentRecord(row, record) });
    return letter === undefined ? [] : [letter];
  });
}

function unsettledOf(found: FoundRow, dueAt?: number): readonly UnsettledView[] {
  if (found.state === "undecodable") return [];
  const records = found.state === "decided" ? pendingRecords(found.row) : found.records;
  const attempts = found.state === "decided" ? found.row.attempts : 0;
  return records.map((record) => ({ record, mark: "half", attempts, ...(dueAt === undefined ? {} : { dueAt }) }));
}

function withRow(view: TransactionView, found: FoundRow): TransactionView {
  const unsettled = [...view.unsettled, ...unsettledOf(found)];
  if (found.state !== "decided") return { ...view, unsettled };
  const { verdict, decidedAt } = found.row;
  return { ...view, unsettled, decision: { verdict, decidedAt }, dead: [...view.dead, ...lettersOf(found.row)] };
}
