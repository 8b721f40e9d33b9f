/** How long a transaction waits for the one before it on the same connection. */
const WAIT_MILLIS = 10_000;

const ends = new WeakMap<object, Promise<void>>();

/**
 * Runs one act at a time on a connection that has only one transaction. What waits too long is refused, as its turn may
 * never come: a transaction that waits for another one on its own connection waits for itself.
 */
export async function inTurn<T>(connection: object, act: () => T | Promise<T>): Promise<T> {
  const before = ends.get(connection);
  let end!: () => void;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const turn = before === undefined ? ended : before.then(() => ended);
  ends.set(connection, turn);
  try {
    if (before !== undefined) await waited(before);
    return await act();
  } finally {
    end();
    if (ends.get(connection) === turn) ends.delete(connection);
  }
}

async function waited(before: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const message = `Expected the transaction before this one to end within ${WAIT_MILLIS} ms, found it open. Give work inside of a transaction its handle, not the connection.`;
      // "Busy" in the words of each kind of database: nothing was begun.
      reject(Object.assign(new Error(message), { code: "SQLITE_BUSY", sqlState: "55P03", errno: 1205 }));
    }, WAIT_MILLIS);
  });
  try {
    await Promise.race([before, late]);
  } finally {
    clearTimeout(timer);
  }
}
