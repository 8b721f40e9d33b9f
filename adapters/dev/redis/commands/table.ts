import type { Command, CommandTable } from "../command.ts";
import { hashCommands } from "./hashes.ts";
import { keyCommands } from "./keys.ts";
import { listCommands } from "./lists.ts";
import { scanCommands } from "./scan.ts";
import { createScriptCommands, type ScriptCommandRunner } from "./scripts.ts";
import { serverCommands } from "./server.ts";
import { setCommands } from "./sets.ts";
import { sortedSetQueries } from "./sorted-set-queries.ts";
import { sortedSetCommands } from "./sorted-sets.ts";
import { streamGroupCommands } from "./stream-groups.ts";
import { streamPendingCommands } from "./stream-pending.ts";
import { streamCommands } from "./streams.ts";
import { stringCommands } from "./strings.ts";

/** The commands of all data types; a new type adds its table here, and its value to `value.ts`. */
const TABLES: readonly CommandTable[] = [
  serverCommands,
  keyCommands,
  scanCommands,
  stringCommands,
  hashCommands,
  setCommands,
  listCommands,
  sortedSetCommands,
  sortedSetQueries,
  streamCommands,
  streamGroupCommands,
  streamPendingCommands,
];

const PLAIN_COMMANDS: ReadonlyMap<string, Command> = new Map(TABLES.flatMap((table) => Object.entries(table)));

/** What is known to leave the store alone without being a plain command. */
const HARMLESS: ReadonlySet<string> = new Set(["EVAL_RO", "EVALSHA_RO", "SCRIPT"]);

/** Joins the plain commands with those that run scripts. */
export function createCommandTable(runScriptCommand: ScriptCommandRunner): ReadonlyMap<string, Command> {
  return new Map([...PLAIN_COMMANDS, ...Object.entries(createScriptCommands(runScriptCommand))]);
}

/** Returns whether a command may change the store; one that is unknown here may. `name` is upper-case. */
export function isWriteCommand(name: string): boolean {
  const command = PLAIN_COMMANDS.get(name);
  return command === undefined ? !HARMLESS.has(name) : command.write === true;
}
