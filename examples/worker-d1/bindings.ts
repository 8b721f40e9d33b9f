import type { D1Database, Queue } from "@cloudflare/workers-types";

/** The bindings that wrangler.jsonc declares, and the Worker's secret. */
export interface Bindings {
  readonly DB: D1Database;
  readonly ORDERS: Queue;
  /** For the operator's routes: at least 32 characters. */
  readonly OPERATOR_TOKEN: string;
}
