import { Miniflare } from "miniflare";

/** A D1 database as a Worker meets it, by what tests use of it. */
export interface D1Database {
  prepare(text: string): D1Statement;
  batch(statements: D1Statement[]): Promise<D1Result[]>;
}

/** A prepared statement. */
export interface D1Statement {
  readonly text: string;
  readonly values: readonly unknown[];
  bind(...values: unknown[]): D1Statement;
}

/** What a statement brought. */
export interface D1Result {
  readonly results: Record<string, unknown>[];
  readonly meta: Record<string, unknown>;
}

/** The binding itself, by way of Miniflare: much slower, as each of its calls is a request. */
export type D1Binding = Awaited<ReturnType<Miniflare["getD1Database"]>>;

/** D1 databases in workerd. */
export interface MiniflareD1 {
  /** An empty database, each batch of which is one request to a Worker. */
  createDatabase(): D1Database;
  /** The binding of an empty database. */
  createBinding(): Promise<D1Binding>;
  stop(): Promise<void>;
}

const COUNT = 150;
const SCRIPT = `export default {
  async fetch(request, env) {
    const { name, statements } = await request.json();
    try {
      const batch = statements.map(({ text, values }) => env[name].prepare(text).bind(...values));
      return Response.json({ results: await env[name].batch(batch) });
    } catch (error) {
      return Response.json({ message: error.message });
    }
  },
};`;

/** Starts workerd with D1 databases in it, and a Worker that runs batches on them. */
export async function startMiniflareD1(): Promise<MiniflareD1> {
  const names = Array.from({ length: COUNT }, (_, n) => `DB${n}`);
  const miniflare = new Miniflare({ modules: true, script: SCRIPT, d1Databases: names });
  await miniflare.ready;
  const take = (): string => {
    const name = names.pop();
    if (name === undefined) throw new Error(`expected at most ${COUNT} databases to be asked for`);
    return name;
  };
  return {
    createDatabase() {
      const name = take();
      return {
        prepare: (text) => statementOf(text, []),
        async batch(statements) {
          const body = JSON.stringify({ name, statements });
          const response = await miniflare.dispatchFetch("http://d1/", { method: "POST", body });
          const answer = (await response.json()) as { results?: D1Result[]; message?: string };
          if (answer.results === undefined) throw new Error(answer.message);
          return answer.results;
        },
      };
    },
    createBinding: () => miniflare.getD1Database(take()),
    stop: () => miniflare.dispose(),
  };
}

function statementOf(text: string, values: readonly unknown[]): D1Statement {
  return { text, values, bind: (...bound) => statementOf(text, bound) };
}
