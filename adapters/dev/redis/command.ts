import type { Keyspace } from "./keyspace.ts";
import type { RedisReply } from "./reply.ts";

/** A command as the engine runs it. */
export interface Command {
  /** Number of words with the name; negative: at least that many. Checked before `run`. */
  readonly arity: number;
  /** True if it may change the store; a read-only script or token must not run it. */
  readonly write?: boolean;
  /** True if a script must not run it. */
  readonly noScript?: boolean;
  /** Which arguments are keys. @default none */
  readonly keys?: KeyArguments;
  /** Runs with the words after the name. Throws a {@link CommandError} to answer with an error. */
  run(db: Keyspace, args: readonly string[]): RedisReply;
}

/** Commands by upper-case name. */
export type CommandTable = Readonly<Record<string, Command>>;

/** Picks the keys out of a command's arguments. */
export type KeyArguments = (args: readonly string[]) => readonly string[];

export const firstKey: KeyArguments = (args) => args.slice(0, 1);
export const firstTwoKeys: KeyArguments = (args) => args.slice(0, 2);
export const allKeys: KeyArguments = (args) => args;
export const everySecondKey: KeyArguments = (args) => args.filter((_, index) => index % 2 === 0);

/** Arguments of which the arity check guarantees the first one, two, three or four. */
export type Args1 = readonly [string, ...string[]];
export type Args2 = readonly [string, string, ...string[]];
export type Args3 = readonly [string, string, string, ...string[]];
export type Args4 = readonly [string, string, string, string, ...string[]];

/** Returns whether a call with `count` words, the name included, has the right number of them. */
export function hasArity(arity: number, count: number): boolean {
  return arity >= 0 ? count === arity : count >= -arity;
}
