import { encodeJson } from "./cjson-encode.ts";
import { decodeJson, JsonDecodeError, type JsonValue } from "./cjson-decode.ts";
import type { LuaApi, LuaThread } from "./fengari.ts";
import { checkText, nameBytes, pushText, raise, setFunctions } from "./stack.ts";

/** Sets the global `cjson` with `encode`, `decode` and `null`. */
export function openCjsonLibrary(lua: LuaApi, thread: LuaThread): void {
  const checkOneArgument = (caller: LuaThread): void => {
    if (lua.lua_gettop(caller) !== 1) lua.luaL_argerror(caller, 1, nameBytes("expected 1 argument"));
  };
  lua.lua_newtable(thread);
  setFunctions(lua, thread, {
    encode(caller) {
      checkOneArgument(caller);
      pushText(lua, caller, encodeJson(lua, caller, 1));
      return 1;
    },
    decode(caller) {
      checkOneArgument(caller);
      pushJson(lua, caller, parse(lua, caller, checkText(lua, caller, 1)));
      return 1;
    },
  });
  lua.lua_pushlightuserdata(thread, null);
  lua.lua_setfield(thread, -2, nameBytes("null"));
  lua.lua_setglobal(thread, nameBytes("cjson"));
}

function parse(lua: LuaApi, thread: LuaThread, text: string): JsonValue {
  try {
    return decodeJson(text);
  } catch (error) {
    if (error instanceof JsonDecodeError) return raise(lua, thread, error.message);
    throw error;
  }
}

function pushJson(lua: LuaApi, thread: LuaThread, value: JsonValue): void {
  lua.lua_checkstack(thread, 4);
  if (value === null) {
    lua.lua_pushlightuserdata(thread, null);
  } else if (typeof value === "string") {
    pushText(lua, thread, value);
  } else if (typeof value === "number") {
    lua.lua_pushnumber(thread, value);
  } else if (typeof value === "boolean") {
    lua.lua_pushboolean(thread, value);
  } else if (value instanceof Map) {
    lua.lua_newtable(thread);
    for (const [name, member] of value as ReadonlyMap<string, JsonValue>) {
      pushText(lua, thread, name);
      pushJson(lua, thread, member);
      lua.lua_rawset(thread, -3);
    }
  } else {
    lua.lua_newtable(thread);
    for (const [index, element] of (value as readonly JsonValue[]).entries()) {
      pushJson(lua, thread, element);
      lua.lua_rawseti(thread, -2, index + 1);
    }
  }
}
