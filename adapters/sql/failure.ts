/** What a database's error says about the statement or transaction that met it. */
export type Failure =
  /** A unique key is taken. Rolled back. */
  | "unique"
  /** Serialization failure, deadlock, busy: rolled back, and may be tried again. */
  | "retryable"
  /** A lock was not to be had in time. */
  | "locked"
  /** A table or column is not there. */
  | "missing"
  /** A privilege is not there. */
  | "denied"
  /** A replica, or a database that takes no writes. */
  | "readOnly"
  /** The database refused a statement for another reason. Rolled back. */
  | "refused"
  /** Anything else: a COMMIT that met it may have been done. */
  | "unknown";

/** Everything by which databases, drivers and ORMs tell what went wrong. */
export interface Symptoms {
  /** Codes of all kinds: SQLSTATEs, numbers as text, names. */
  readonly codes: ReadonlySet<string>;
  /** What the errors underneath say, joined. */
  readonly text: string;
}

const CODE_FIELDS = ["code", "errno", "errcode", "sqlState", "sqlstate", "originalCode", "extendedCode", "rawCode"];
/** Where ORMs and clients keep the error underneath. */
const INNER_FIELDS = ["cause", "meta", "driverAdapterError", "originalError", "error"];
const TEXT_FIELDS = ["message", "originalMessage", "detail", "constraint", "constraint_name", "table", "table_name"];
const MAX_DEPTH = 6;

/** Reads an error and those underneath. */
export function symptomsOf(error: unknown): Symptoms {
  const codes = new Set<string>();
  const texts: string[] = [];
  const read = (value: unknown, depth: number): void => {
    if (typeof value !== "object" || value === null || depth > MAX_DEPTH) return;
    const fields = value as Record<string, unknown>;
    for (const name of CODE_FIELDS) {
      const code = fields[name];
      if (typeof code === "string" || typeof code === "number") codes.add(String(code));
    }
    // A wrapper's own words may repeat the statement and its values, which may read like anything.
    const wraps = typeof fields.cause === "object" && fields.cause !== null;
    for (const name of TEXT_FIELDS) if (!wraps && typeof fields[name] === "string") texts.push(fields[name]);
    for (const name of INNER_FIELDS) read(fields[name], depth + 1);
  };
  read(error, 0);
  return { codes, text: texts.join("\n") };
}

/** Thrown by a driver that knows that its transaction was rolled back although it seemed to commit. */
export class RolledBackByDatabase extends Error {}
