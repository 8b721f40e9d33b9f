import { fromBytes, toBytes } from "../bytes.ts";
import { REDIS_VERSION } from "../commands/server.ts";
import { formatScore } from "../numbers.ts";
import { isRedisError, type RedisReply } from "../reply.ts";
import { sha1Hex } from "../sha1.ts";
import { pushReply } from "./conversion.ts";
import type { LuaApi, LuaFunction, LuaThread } from "./fengari.ts";
import { checkText, nameBytes, pushRecord, pushText, setFunctions, setNumbers } from "./stack.ts";

/** Runs a command on behalf of the script; errors are replies here. */
export type ScriptCall = (args: readonly string[]) => RedisReply;

const CONSTANTS: Readonly<Record<string, number>> = {
  LOG_DEBUG: 0,
  LOG_VERBOSE: 1,
  LOG_NOTICE: 2,
  LOG_WARNING: 3,
  REPL_NONE: 0,
  REPL_AOF: 1,
  REPL_SLAVE: 2,
  REPL_REPLICA: 2,
  REPL_ALL: 3,
  REDIS_VERSION_NUM: REDIS_VERSION.split(".").reduce((number, part) => number * 256 + Number(part), 0),
};

/** Sets the global `redis`, whose commands go through `call`. */
export function openRedisLibrary(lua: LuaApi, thread: LuaThread, call: ScriptCall): void {
  const fail = (caller: LuaThread, message: string): never => {
    pushRecord(lua, caller, "err", `ERR ${message}`);
    return lua.lua_error(caller);
  };
  const answer = (caller: LuaThread): RedisReply => {
    const args = readArguments(lua, caller);
    return args === undefined
      ? { error: "ERR Lua redis lib command arguments must be strings or integers" }
      : call(args);
  };
  lua.lua_newtable(thread);
  setFunctions(lua, thread, {
    call(caller) {
      const reply = answer(caller);
      pushReply(lua, caller, reply);
      return isRedisError(reply) ? lua.lua_error(caller) : 1;
    },
    pcall(caller) {
      pushReply(lua, caller, answer(caller));
      return 1;
    },
    error_reply: replying(lua, "err", (text) => {
      const message = text.replace(/^-/, "").replace(/[\r\n]+$/, "");
      return message.includes(" ") ? message : `ERR ${message}`;
    }),
    status_reply: replying(lua, "ok", (text) => text),
    sha1hex(caller) {
      if (lua.lua_gettop(caller) !== 1) fail(caller, "wrong number of arguments");
      pushText(lua, caller, sha1Hex(checkText(lua, caller, 1)));
      return 1;
    },
    log(caller) {
      if (lua.lua_gettop(caller) < 2) fail(caller, "redis.log() requires two arguments or more.");
      return 0;
    },
    setresp(caller) {
      const version = lua.luaL_checknumber(caller, 1);
      if (version !== 2) fail(caller, version === 3 ? "RESP3 is not supported here." : "RESP version must be 2 or 3.");
      return 0;
    },
    set_repl: () => 0,
    replicate_commands(caller) {
      lua.lua_pushboolean(caller, true);
      return 1;
    },
    breakpoint(caller) {
      lua.lua_pushboolean(caller, false);
      return 1;
    },
    debug: () => 0,
  });
  setNumbers(lua, thread, CONSTANTS);
  pushText(lua, thread, REDIS_VERSION);
  lua.lua_setfield(thread, -2, nameBytes("REDIS_VERSION"));
  lua.lua_setglobal(thread, toBytes("redis"));
}

/** Reads strings, and numbers as `%.17g`; `undefined` if there is anything else. */
function readArguments(lua: LuaApi, thread: LuaThread): string[] | undefined {
  const args: string[] = [];
  const count = lua.lua_gettop(thread);
  for (let index = 1; index <= count; index++) {
    const type = lua.lua_type(thread, index);
    if (type === lua.LUA_TSTRING) args.push(fromBytes(lua.lua_tostring(thread, index)));
    else if (type === lua.LUA_TNUMBER) args.push(formatScore(lua.lua_tonumber(thread, index)));
    else return undefined;
  }
  return args;
}

function replying(lua: LuaApi, field: "err" | "ok", toMessage: (text: string) => string): LuaFunction {
  return (thread) => {
    const isText = lua.lua_gettop(thread) === 1 && lua.lua_type(thread, 1) === lua.LUA_TSTRING;
    if (isText) pushRecord(lua, thread, field, toMessage(checkText(lua, thread, 1)));
    else pushRecord(lua, thread, "err", "ERR wrong number or type of arguments");
    return 1;
  };
}
