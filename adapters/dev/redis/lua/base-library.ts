import { fromBytes, toBytes } from "../bytes.ts";
import type { LuaApi, LuaFunction, LuaThread } from "./fengari.ts";
import { type Lua51, READONLY_MESSAGE } from "./lua51.ts";
import { inLua51Words } from "./script-error.ts";
import { checkText, nameBytes, pushRawField, pushText, raise, setFunctions } from "./stack.ts";
import { createStringFormat } from "./string-format.ts";

/** Replaces the basic functions that Lua 5.3 changed since 5.1, or that Redis did. */
export function openBaseLibrary(lua: LuaApi, lua51: Lua51, thread: LuaThread): void {
  lua.lua_pushglobaltable(thread);
  lua.lua_getfield(thread, -1, nameBytes("ipairs"));
  const iterate = lua.lua_tocfunction(thread, -1);
  lua.lua_pop(thread, 1);
  setFunctions(lua, thread, {
    assert(caller) {
      lua.luaL_checkany(caller, 1);
      if (lua.lua_toboolean(caller, 1)) return lua.lua_gettop(caller);
      const isDefault = lua.lua_gettop(caller) < 2 || lua.lua_type(caller, 2) === lua.LUA_TNIL;
      return raise(lua, caller, isDefault ? "assertion failed!" : checkText(lua, caller, 2));
    },
    collectgarbage(caller) {
      // JavaScript collects; a script may only ask.
      lua.lua_pushnumber(caller, 1);
      return 1;
    },
    error(caller) {
      const level = lua.luaL_optnumber(caller, 2, 1);
      lua.lua_settop(caller, 1);
      if (level > 0 && [lua.LUA_TSTRING, lua.LUA_TNUMBER].includes(lua.lua_type(caller, 1))) {
        lua.luaL_where(caller, level);
        lua.lua_insert(caller, 1);
        lua.lua_concat(caller, 2);
      }
      return lua.lua_error(caller);
    },
    ipairs(caller) {
      lua.luaL_checktype(caller, 1, lua.LUA_TTABLE);
      return iterate(caller);
    },
    load: (caller) => load(lua, caller, readPieces(lua, caller), "=(load)"),
    loadstring(caller) {
      const code = checkText(lua, caller, 1);
      return load(lua, caller, code, code);
    },
    pcall: createProtectedCall(lua),
    setmetatable: guarded(lua, lua51, (caller) => {
      lua.luaL_checktype(caller, 1, lua.LUA_TTABLE);
      if (lua.lua_type(caller, 2) !== lua.LUA_TNIL) lua.luaL_checktype(caller, 2, lua.LUA_TTABLE);
      lua.lua_settop(caller, 2);
      lua.lua_setmetatable(caller, 1);
      return 1;
    }),
    tostring(caller) {
      lua.luaL_checkany(caller, 1);
      lua.lua_settop(caller, 1);
      if (lua.lua_type(caller, 1) === lua.LUA_TNUMBER) lua.lua_tostring(caller, 1);
      else lua.luaL_tolstring(caller, 1);
      return 1;
    },
  });
  lua.lua_getfield(thread, -1, nameBytes("string"));
  setFunctions(lua, thread, { format: createStringFormat(lua) });
  lua.lua_pop(thread, 2);
}

/** Makes reading a global variable that does not exist an error, instead of nil. */
export function refuseUnknownGlobals(lua: LuaApi, thread: LuaThread): void {
  lua.lua_pushglobaltable(thread);
  lua.lua_newtable(thread);
  setFunctions(lua, thread, {
    __index: (caller) =>
      raise(lua, caller, `Script attempted to access nonexistent global variable '${checkText(lua, caller, 2)}'`),
  });
  lua.lua_setmetatable(thread, -2);
  lua.lua_pop(thread, 1);
}

/** Redis' own pcall: what `redis.call` raised comes back as the text of the error, not as its table. */
function createProtectedCall(lua: LuaApi): LuaFunction {
  return (thread) => {
    lua.luaL_checkany(thread, 1);
    const succeeded = lua.lua_pcall(thread, lua.lua_gettop(thread) - 1, lua.LUA_MULTRET, 0) === lua.LUA_OK;
    if (!succeeded) {
      if (lua.lua_type(thread, -1) === lua.LUA_TTABLE) {
        const isText = pushRawField(lua, thread, -1, "err") === lua.LUA_TSTRING;
        if (isText) lua.lua_replace(thread, -2);
        else lua.lua_pop(thread, 1);
      } else if (lua.lua_type(thread, -1) === lua.LUA_TSTRING) {
        pushText(lua, thread, inLua51Words(fromBytes(lua.lua_tostring(thread, -1))));
        lua.lua_replace(thread, -2);
      }
    }
    lua.lua_pushboolean(thread, succeeded);
    lua.lua_insert(thread, 1);
    return lua.lua_gettop(thread);
  };
}

/** Refuses to touch a read-only table. */
function guarded(lua: LuaApi, lua51: Lua51, change: LuaFunction): LuaFunction {
  return (thread) => {
    const table = lua.lua_topointer(thread, 1);
    if (table === null || !lua51.isReadonly(table)) return change(thread);
    pushText(lua, thread, READONLY_MESSAGE);
    return lua.lua_error(thread);
  };
}

/** Compiles source text, never bytecode; answers the function, or nil and the message. */
function load(lua: LuaApi, thread: LuaThread, code: string, defaultName: string): number {
  const name = lua.lua_gettop(thread) > 1 ? checkText(lua, thread, 2) : defaultName;
  if (code.startsWith("\u001b")) {
    lua.lua_pushnil(thread);
    pushText(lua, thread, "attempt to load a binary chunk");
    return 2;
  }
  const bytes = toBytes(code);
  if (lua.luaL_loadbuffer(thread, bytes, bytes.length, toBytes(name)) === lua.LUA_OK) return 1;
  const message = inLua51Words(fromBytes(lua.lua_tostring(thread, -1)));
  lua.lua_pushnil(thread);
  pushText(lua, thread, message);
  return 2;
}

/** Joins what the function at index 1 returns until it returns nothing. */
function readPieces(lua: LuaApi, thread: LuaThread): string {
  let code = "";
  for (;;) {
    lua.lua_pushvalue(thread, 1);
    lua.lua_call(thread, 0, 1);
    const piece = lua.lua_type(thread, -1) === lua.LUA_TSTRING ? fromBytes(lua.lua_tostring(thread, -1)) : "";
    lua.lua_pop(thread, 1);
    if (piece === "") return code;
    code += piece;
  }
}
