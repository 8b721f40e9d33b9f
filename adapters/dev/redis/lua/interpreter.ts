import { fromBytes, toBytes } from "../bytes.ts";
import type { RedisReply } from "../reply.ts";
import { openBaseLibrary, refuseUnknownGlobals } from "./base-library.ts";
import { openBitLibrary } from "./bit-library.ts";
import { openCjsonLibrary } from "./cjson-library.ts";
import { pushTexts, readReply } from "./conversion.ts";
import { loadLua, type LuaApi, type LuaThread } from "./fengari.ts";
import { installLua51, type Lua51 } from "./lua51.ts";
import { openMathLibrary } from "./math-library.ts";
import { PRELUDE } from "./prelude.ts";
import { openRedisLibrary, type ScriptCall } from "./redis-library.ts";
import { createErrorHandler, describeFailure, inLua51Words, type ScriptFailure } from "./script-error.ts";
import { nameBytes, pushText } from "./stack.ts";

/** A compiled script. */
export interface CompiledScript {
  /** Runs the script to its end; a failure is an error reply. */
  run(keys: readonly string[], argv: readonly string[], call: ScriptCall): RedisReply;
  /** Frees it. */
  dispose(): void;
}

/** One Lua state, shared by all scripts of an engine as in Redis: they can leave nothing behind in it. */
export interface ScriptInterpreter {
  /** Compiles source text, whose SHA-1 names it in errors. Returns the compiler's message if it is no Lua 5.1. */
  compile(sha1: string, source: string): CompiledScript | { readonly message: string };
}

/** Tables that scripts share and must not change. */
const SHARED_TABLES = ["bit", "cjson", "coroutine", "math", "redis", "string", "table"];
const CHUNK_NAME = "@user_script";

/** Creates the Lua state. Throws {@link PackageMissingError} if fengari is not installed. */
export function createInterpreter(): ScriptInterpreter {
  const lua = loadLua();
  const lua51 = installLua51();
  const thread = lua.luaL_newstate();
  const idle: ScriptCall = () => ({ error: "ERR redis.call outside of a script" });
  let call = idle;
  let failure: ScriptFailure = { message: "ERR unknown error" };
  const handler = createErrorHandler(lua, (reported) => (failure = reported));

  const globals = lua51.run(() => {
    lua.lua_atnativeerror(thread, (caller) => {
      pushText(lua, caller, String(lua.lua_touserdata(caller, 1)));
      return 1;
    });
    openLibraries(lua, lua51, thread, (args) => call(args));
    return protectTables(lua, lua51, thread);
  });

  const setGlobal = (name: string, texts: readonly string[]): void => {
    pushTexts(lua, thread, texts);
    lua.lua_setglobal(thread, nameBytes(name));
  };

  const run = (sha1: string, reference: number, keys: readonly string[], argv: readonly string[]): RedisReply => {
    lua.lua_settop(thread, 0);
    lua51.setReadonly(globals, false);
    setGlobal("KEYS", keys);
    setGlobal("ARGV", argv);
    lua51.setReadonly(globals, true);
    lua.lua_pushcfunction(thread, handler);
    lua.lua_rawgeti(thread, lua.LUA_REGISTRYINDEX, reference);
    const status = lua.lua_pcall(thread, 0, 1, 1);
    const reply = status === lua.LUA_OK ? readReply(lua, thread, -1) : { error: describeFailure(sha1, failure) };
    lua.lua_settop(thread, 0);
    return reply;
  };

  return {
    compile(sha1, source) {
      const bytes = toBytes(source);
      const status = lua51.run(() => lua.luaL_loadbuffer(thread, bytes, bytes.length, toBytes(CHUNK_NAME)));
      if (status !== lua.LUA_OK) {
        const message = inLua51Words(fromBytes(lua.lua_tostring(thread, -1)));
        lua.lua_settop(thread, 0);
        return { message };
      }
      const reference = lua.luaL_ref(thread, lua.LUA_REGISTRYINDEX);
      return {
        run(keys, argv, scriptCall) {
          call = scriptCall;
          try {
            return lua51.run(() => run(sha1, reference, keys, argv));
          } finally {
            call = idle;
          }
        },
        dispose: () => lua.luaL_unref(thread, lua.LUA_REGISTRYINDEX, reference),
      };
    },
  };
}

function openLibraries(lua: LuaApi, lua51: Lua51, thread: LuaThread, call: ScriptCall): void {
  const libraries = [
    ["_G", lua.luaopen_base],
    ["coroutine", lua.luaopen_coroutine],
    ["string", lua.luaopen_string],
    ["table", lua.luaopen_table],
  ] as const;
  for (const [name, open] of libraries) lua.luaL_requiref(thread, nameBytes(name), open, 1);
  openBaseLibrary(lua, lua51, thread);
  openMathLibrary(lua, thread);
  openBitLibrary(lua, thread);
  openCjsonLibrary(lua, thread);
  openRedisLibrary(lua, thread, call);
  const prelude = toBytes(PRELUDE);
  lua.luaL_loadbuffer(thread, prelude, prelude.length, nameBytes("=prelude"));
  lua.lua_call(thread, 0, 0);
  refuseUnknownGlobals(lua, thread);
  lua.lua_settop(thread, 0);
}

/** Makes the globals, the libraries and their metatables read-only and returns the table of globals. */
function protectTables(lua: LuaApi, lua51: Lua51, thread: LuaThread): object {
  const protect = (): object => {
    const table = lua.lua_topointer(thread, -1);
    if (table === null) throw new TypeError("expected a table on the Lua stack");
    lua51.setReadonly(table, true);
    return table;
  };
  const protectMetatable = (): void => {
    if (!lua.lua_getmetatable(thread, -1)) return;
    protect();
    lua.lua_pop(thread, 1);
  };
  pushText(lua, thread, "");
  protectMetatable();
  lua.lua_pushglobaltable(thread);
  for (const name of SHARED_TABLES) {
    lua.lua_getfield(thread, -1, nameBytes(name));
    protect();
    lua.lua_pop(thread, 1);
  }
  protectMetatable();
  const globals = protect();
  lua.lua_settop(thread, 0);
  return globals;
}
