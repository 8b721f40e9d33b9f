import type { Args1, Args2, Command, CommandTable } from "../command.ts";
import { createInterpreter, type CompiledScript } from "../lua/interpreter.ts";
import { parseInteger } from "../numbers.ts";
import { CommandError, OK, type RedisReply, wrongArity } from "../reply.ts";
import { ALLOW_KEY_LOCKING, NO_WRITES, parseScriptSource } from "../script-source.ts";
import { sha1Hex } from "../sha1.ts";

/** What a running script may do. */
export interface ScriptPermissions {
  readonly readOnly: boolean;
  /** The only keys it may touch; `undefined` if any. */
  readonly lockedKeys: ReadonlySet<string> | undefined;
}

/** Runs one command of a script; errors are replies. */
export type ScriptCommandRunner = (args: readonly string[], permissions: ScriptPermissions) => RedisReply;

interface StoredScript {
  readonly flags: ReadonlySet<string>;
  readonly compiled: CompiledScript;
}

/**
 * Creates the script commands. Scripts are atomic, compiled once and kept under their SHA-1 until SCRIPT FLUSH.
 *
 * The Lua state is made for the first script: an engine that runs none needs no fengari.
 */
export function createScriptCommands(runCommand: ScriptCommandRunner): CommandTable {
  const scripts = new Map<string, StoredScript>();
  let interpreter: ReturnType<typeof createInterpreter> | undefined;

  const load = (text: string): { readonly sha1: string; readonly script: StoredScript } => {
    const sha1 = sha1Hex(text);
    const stored = scripts.get(sha1);
    if (stored !== undefined) return { sha1, script: stored };
    const { code, flags } = parseScriptSource(text);
    interpreter ??= createInterpreter();
    const compiled = interpreter.compile(sha1, code);
    if ("message" in compiled) {
      throw new CommandError(`ERR Error compiling script (new function): ${compiled.message}`);
    }
    const script = { flags, compiled };
    scripts.set(sha1, script);
    return { sha1, script };
  };

  const find = (sha1: string): StoredScript => {
    const script = scripts.get(sha1.toLowerCase());
    if (script === undefined) throw new CommandError("NOSCRIPT No matching script. Please use EVAL.");
    return script;
  };

  const run = (
    findScript: () => StoredScript,
    count: string,
    rest: readonly string[],
    readOnly: boolean,
  ): RedisReply => {
    const keyCount = readKeyCount(count, rest.length);
    const { flags, compiled } = findScript();
    const keys = rest.slice(0, keyCount);
    const permissions: ScriptPermissions = {
      readOnly: readOnly || flags.has(NO_WRITES),
      lockedKeys: flags.has(ALLOW_KEY_LOCKING) ? new Set(keys) : undefined,
    };
    return compiled.run(keys, rest.slice(keyCount), (args) => runCommand(args, permissions));
  };

  const evaluating = (findScript: (argument: string) => StoredScript, readOnly: boolean): Command => ({
    arity: -3,
    write: !readOnly,
    noScript: true,
    keys: ([, count, ...rest]) => rest.slice(0, Math.max(0, Number(count) || 0)),
    run: (_db, [argument, count, ...rest]: Args2) => run(() => findScript(argument), count, rest, readOnly),
  });

  const flush = (): void => {
    for (const { compiled } of scripts.values()) compiled.dispose();
    scripts.clear();
  };

  return {
    EVAL: evaluating((text) => load(text).script, false),
    EVAL_RO: evaluating((text) => load(text).script, true),
    EVALSHA: evaluating(find, false),
    EVALSHA_RO: evaluating(find, true),
    SCRIPT: {
      arity: -2,
      noScript: true,
      run(_db, [subcommand, ...args]: Args1) {
        switch (subcommand.toUpperCase()) {
          case "LOAD": {
            const [text, ...others] = args;
            if (text === undefined || others.length > 0) throw wrongArity("script|load");
            return load(text).sha1;
          }
          case "EXISTS":
            if (args.length === 0) throw wrongArity("script|exists");
            return args.map((sha1) => (scripts.has(sha1.toLowerCase()) ? 1 : 0));
          case "FLUSH":
            if (args.length > 1 || !/^A?SYNC$/i.test(args[0] ?? "SYNC")) {
              throw new CommandError("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
            }
            flush();
            return OK;
          default:
            throw new CommandError(`ERR unknown subcommand '${subcommand}'. Try SCRIPT HELP.`);
        }
      },
    },
  };
}

function readKeyCount(text: string, available: number): number {
  const count = parseInteger(text);
  if (count > available) throw new CommandError("ERR Number of keys can't be greater than number of args");
  if (count < 0) throw new CommandError("ERR Number of keys can't be negative");
  return count;
}
