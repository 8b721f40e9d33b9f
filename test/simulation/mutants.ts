import type { AftercommitOptions } from "aftercommit";
import { DATABASE_MUTANTS } from "./mutants/database.ts";
import { LOG_MUTANTS, TRANSPORT_MUTANTS } from "./mutants/log.ts";

/** What a process is given of the outside, and what the core is built on: a mutant puts something else in its place. */
export type Ports = Pick<
  AftercommitOptions,
  "log" | "inbox" | "databases" | "transport" | "receiver" | "checks" | "clock" | "crypto" | "recovery" | "consumers"
>;

/** A known wrong design, as a switch. */
export interface Mutant {
  readonly name: string;
  /** Makes the ports of one process wrong. */
  readonly apply: (ports: Ports) => Ports;
  /** Why no run can tell it from the right design, where none can. */
  readonly equivalent?: string;
}

/** All of them; each must be caught. */
export const MUTANTS: readonly Mutant[] = [...DATABASE_MUTANTS, ...LOG_MUTANTS, ...TRANSPORT_MUTANTS];
