import type { Orders } from "./orders.ts";

/**
 * Opens the shop's data on Node, by its address: `sqlite:shop.sqlite`, `pglite:./shop` or `postgres://…`; and
 * `checked:shop.sqlite` for a SQLite file at level `checked`.
 */
export async function openOrders(address: string): Promise<Orders> {
  const scheme = address.slice(0, address.indexOf(":"));
  const rest = address.slice(scheme.length + 1);
  // Each driver is loaded where it is used, and nowhere else.
  switch (scheme) {
    case "sqlite":
      return (await import("./sqlite-orders.ts")).sqliteOrders(rest);
    case "checked":
      return (await import("./sqlite-orders.ts")).checkedSqliteOrders(rest);
    case "pglite": {
      const [{ PGlite }, { pglite }, { postgresOrders }] = await Promise.all([
        import("@electric-sql/pglite"),
        import("aftercommit/sql"),
        import("./postgres-orders.ts"),
      ]);
      const db = await PGlite.create(rest);
      return postgresOrders(db, pglite(db));
    }
    case "postgres": {
      const [{ Pool }, { nodePostgres }, { postgresOrders }] = await Promise.all([
        import("pg"),
        import("aftercommit/sql"),
        import("./postgres-orders.ts"),
      ]);
      const pool = new Pool({ connectionString: address });
      return postgresOrders(pool, nodePostgres(pool));
    }
    default:
      throw new Error(`Expected sqlite:…, pglite:…, postgres://… or checked:…, found "${address}".`);
  }
}
