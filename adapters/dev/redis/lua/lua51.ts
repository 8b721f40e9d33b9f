import { fromBytes, toBytes } from "../bytes.ts";
import { formatGeneral } from "../number-format.ts";
import { loadFengariModule, type LuaThread } from "./fengari.ts";

/**
 * Makes fengari, a Lua 5.3, compute as the Lua 5.1 in Redis does.
 *
 * Lua 5.1 has one kind of number, the double, printed with `%.14g`; fengari has 32-bit integers besides, in which
 * milliseconds since the epoch wrap around. It also lacks the operators of 5.3, and Redis taught it tables that cannot
 * be changed. These differences sit below fengari's API, so its internal functions are wrapped; while no script of
 * ours runs, the wrappers only pass on.
 */
export interface Lua51 {
  /** Runs `work` with the rules of Lua 5.1. */
  run<Result>(work: () => Result): Result;
  /** Makes a table, as `lua_topointer` gives it, refuse every change, or allows changes again. */
  setReadonly(table: object, readonly: boolean): void;
  isReadonly(table: object): boolean;
}

/** What Redis answers to a script that changes a library or defines a global variable. */
export const READONLY_MESSAGE = "Attempt to modify a readonly table";

interface TaggedValue {
  readonly value: number;
  ttisfloat(): boolean;
  ttisinteger(): boolean;
  setfltvalue(value: number): void;
  setsvalue(value: object): void;
}

interface LexerState {
  readonly t: { readonly token: number };
}

interface Internals {
  readonly objects: {
    luaO_str2num: (text: Uint8Array, target: TaggedValue) => number;
    luaO_tostring: (thread: LuaThread, value: TaggedValue) => void;
  };
  readonly strings: { readonly luaS_bless: (thread: LuaThread, text: Uint8Array) => object };
  readonly tables: { luaH_setfrom: (thread: LuaThread, table: object, key: TaggedValue, value: TaggedValue) => void };
  readonly machine: { tointeger: (value: TaggedValue) => number | false };
  readonly lexer: {
    luaX_next: (state: LexerState) => void;
    readonly luaX_syntaxerror: (state: LexerState, message: Uint8Array) => never;
    readonly RESERVED: Readonly<Record<string, number>>;
  };
  readonly debug: { readonly luaG_runerror: (thread: LuaThread, message: Uint8Array) => never };
}

const LARGEST_INTEGER = 2 ** 31 - 1;
const NUMBER_PRECISION = 14;

let installed: Lua51 | undefined;

/** Wraps fengari's internals, once in a process. Throws {@link PackageMissingError} if there is no fengari. */
export function installLua51(): Lua51 {
  installed ??= install({
    objects: loadFengariModule("/src/lobject.js") as Internals["objects"],
    strings: loadFengariModule("/src/lstring.js") as Internals["strings"],
    tables: loadFengariModule("/src/ltable.js") as Internals["tables"],
    machine: loadFengariModule("/src/lvm.js") as Internals["machine"],
    lexer: loadFengariModule("/src/llex.js") as Internals["lexer"],
    debug: loadFengariModule("/src/ldebug.js") as Internals["debug"],
  });
  return installed;
}

function install({ objects, strings, tables, machine, lexer, debug }: Internals): Lua51 {
  const readonlyTables = new WeakSet<object>();
  const originals = { ...objects, ...tables, ...machine, ...lexer };
  const newerTokens = newerThanLua51(lexer.RESERVED);
  const unexpected = toBytes("unexpected symbol");
  const readonlyMessage = toBytes(READONLY_MESSAGE);
  let depth = 0;

  objects.luaO_str2num = (text, target) => {
    const length = originals.luaO_str2num(text, target);
    if (depth > 0 && length > 0 && target.ttisinteger()) target.setfltvalue(toDouble(text, target.value));
    return length;
  };
  objects.luaO_tostring = (thread, value) => {
    if (depth === 0) originals.luaO_tostring(thread, value);
    else value.setsvalue(strings.luaS_bless(thread, toBytes(formatGeneral(value.value, NUMBER_PRECISION))));
  };
  machine.tointeger = (value) => {
    if (depth === 0 || !value.ttisfloat()) return originals.tointeger(value);
    return Math.max(-LARGEST_INTEGER, Math.min(LARGEST_INTEGER, Math.trunc(value.value) || 0));
  };
  tables.luaH_setfrom = (thread, table, key, value) => {
    if (readonlyTables.has(table)) debug.luaG_runerror(thread, readonlyMessage);
    originals.luaH_setfrom(thread, table, key, value);
  };
  lexer.luaX_next = (state) => {
    originals.luaX_next(state);
    if (depth > 0 && newerTokens.has(state.t.token)) lexer.luaX_syntaxerror(state, unexpected);
  };

  return {
    run(work) {
      depth++;
      try {
        return work();
      } finally {
        depth--;
      }
    },
    setReadonly(table, readonly) {
      if (readonly) readonlyTables.add(table);
      else readonlyTables.delete(table);
    },
    isReadonly: (table) => readonlyTables.has(table),
  };
}

/** The value of an integer literal, of which fengari keeps only 32 bits if it is hexadecimal. */
function toDouble(text: Uint8Array, value: number): number {
  const [, minus, digits] = /^\s*(-?)(0x[\da-f]+)\s*$/i.exec(fromBytes(text)) ?? [];
  if (digits === undefined) return value;
  return minus === "-" ? -Number(digits) : Number(digits);
}

function newerThanLua51(reserved: Readonly<Record<string, number>>): ReadonlySet<number | undefined> {
  const words = ["TK_GOTO", "TK_IDIV", "TK_SHL", "TK_SHR", "TK_DBCOLON"];
  return new Set([...words.map((word) => reserved[word]), ...["&", "|", "~"].map((symbol) => symbol.charCodeAt(0))]);
}
