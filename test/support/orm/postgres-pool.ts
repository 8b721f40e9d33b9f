import { Client, Pool } from "pg";

/** What becomes of the next COMMIT: it is done and its answer is lost, or the connection is lost before it. */
export type CommitFate = "reply lost" | "connection lost before";

/** A pool of pg. Its clients' connections may end with the server's, and an error that nobody hears ends the process. */
export function poolOf(connectionString: string, more: { readonly Client?: typeof Client } = {}): Pool {
  const pool = new Pool({ connectionString, ...more });
  pool.on("connect", (client) => client.on("error", () => undefined));
  pool.on("error", () => undefined);
  return pool;
}

/** A pool of pg whose clients lose a COMMIT when they are told to. */
export interface LossyPool {
  readonly pool: Pool;
  /** Decides about the next COMMIT, once. */
  lose(fate: CommitFate): void;
}

/** Makes one. */
export function lossyPool(connectionString: string): LossyPool {
  let next: CommitFate | undefined;
  class LossyClient extends Client {
    override query(...given: never[]): never {
      const [query, values, callback] = given as unknown as [string | { text: string }, unknown, unknown];
      const text = typeof query === "string" ? query : query.text;
      const ask = super.query.bind(this) as unknown as (...args: unknown[]) => Promise<unknown>;
      if (next === undefined || text.toLowerCase() !== "commit") return ask(...given) as never;
      const fate = next;
      next = undefined;
      if (typeof values === "function" || typeof callback === "function") throw new Error("expected a promise's query");
      return this.lost(fate, () => ask(...given)) as never;
    }

    private async lost(fate: CommitFate, commit: () => Promise<unknown>): Promise<never> {
      if (fate === "reply lost") await commit();
      const ended = new Promise((resolve) => this.once("end", resolve));
      (this as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
      await ended;
      throw new Error("Connection terminated unexpectedly");
    }
  }
  return {
    pool: poolOf(connectionString, { Client: LossyClient as unknown as typeof Client }),
    lose: (fate) => (next = fate),
  };
}
