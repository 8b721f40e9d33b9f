import postgres from "postgres";

/** Connects when it is needed. Through a pooler, as serverless PostgreSQL has one, nothing can be prepared. */
export function connect(url = "postgres://127.0.0.1/orders"): postgres.Sql {
  return postgres(url, { prepare: false, onnotice: () => undefined });
}
