import { fromBytes } from "../bytes.ts";
import type { LuaApi, LuaFunction, LuaThread } from "./fengari.ts";
import { nameBytes, pushRawField, readText } from "./stack.ts";

/** Where and why a script failed. */
export interface ScriptFailure {
  /** The message with its code, as in `ERR user_script:1: boom`. */
  readonly message: string;
  readonly source?: string;
  readonly line?: number;
}

/**
 * Creates the handler that runs where an error is raised, before the stack unwinds, and reports it.
 *
 * What `redis.call` raised is a table whose `err` is the whole message; anything else gets the code ERR.
 */
export function createErrorHandler(lua: LuaApi, report: (failure: ScriptFailure) => void): LuaFunction {
  return (thread) => {
    const message = readMessage(lua, thread);
    const debug = new lua.lua_Debug();
    const found = lua.lua_getstack(thread, 1, debug) !== 0;
    if (found) lua.lua_getinfo(thread, nameBytes("Sl"), debug);
    // A function in JavaScript has no line; that of its caller counts.
    if (found && debug.currentline < 0 && lua.lua_getstack(thread, 2, debug) !== 0) {
      lua.lua_getinfo(thread, nameBytes("Sl"), debug);
    }
    report(found ? { message, source: fromBytes(debug.source), line: debug.currentline } : { message });
    return 1;
  };
}

/** Prints a failure as Redis 7 answers it. */
export function describeFailure(sha1: string, { message, source, line }: ScriptFailure): string {
  const place = source === undefined ? "" : `, on ${source}:${line}`;
  return `${message} script: ${sha1}${place}.`.replace(/[\r\n]/g, " ");
}

/** Words an error of Lua 5.3 as 5.1 does: `attempt to index field 'b' (a nil value)`. */
export function inLua51Words(message: string): string {
  return message
    .replace(
      /attempt to ([a-z ]+?) a (\w+) value \((local|global|field|upvalue|method) '([^']*)'\)/,
      "attempt to $1 $3 '$4' (a $2 value)",
    )
    .replace(/(attempt to [a-z ]+ a \w+ value) \(constant '[^']*'\)/, "$1")
    .replace(/(unfinished long \w+) \(starting at line \d+\)/, "$1")
    .replace(/unexpected symbol near '([/<>:])\1'/, "unexpected symbol near '$1'")
    .replace(/(?<!')<eof>(?!')/g, "'<eof>'");
}

function readMessage(lua: LuaApi, thread: LuaThread): string {
  switch (lua.lua_type(thread, 1)) {
    case lua.LUA_TTABLE: {
      const type = pushRawField(lua, thread, 1, "err");
      const message =
        type === lua.LUA_TSTRING || type === lua.LUA_TNUMBER ? readText(lua, thread, -1) : "ERR unknown error";
      lua.lua_pop(thread, 1);
      return message;
    }
    case lua.LUA_TSTRING:
    case lua.LUA_TNUMBER:
      return `ERR ${inLua51Words(readText(lua, thread, 1))}`;
    default: {
      const text = fromBytes(lua.luaL_tolstring(thread, 1));
      lua.lua_pop(thread, 1);
      return `ERR ${text}`;
    }
  }
}
