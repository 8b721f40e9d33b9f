import { fromBytes } from "../bytes.ts";
import { formatScore } from "../numbers.ts";
import { isRedisArray, isRedisError, type RedisReply } from "../reply.ts";
import type { LuaApi, LuaThread } from "./fengari.ts";
import { pushRawField, pushRecord, pushText, readText } from "./stack.ts";

/** Pushes a reply as scripts see it: nil is `false`, a status `{ ok = … }`, an error `{ err = … }`. */
export function pushReply(lua: LuaApi, thread: LuaThread, reply: RedisReply): void {
  if (typeof reply === "string") pushText(lua, thread, reply);
  else if (typeof reply === "number") lua.lua_pushnumber(thread, reply);
  else if (reply === null) lua.lua_pushboolean(thread, false);
  else if (isRedisArray(reply)) pushTexts(lua, thread, reply);
  else if (isRedisError(reply)) pushRecord(lua, thread, "err", reply.error);
  else pushRecord(lua, thread, "ok", reply.status);
}

/** Pushes an array as a table that counts from 1. */
export function pushTexts(lua: LuaApi, thread: LuaThread, elements: readonly RedisReply[]): void {
  lua.lua_checkstack(thread, 4);
  lua.lua_newtable(thread);
  for (const [index, element] of elements.entries()) {
    pushReply(lua, thread, element);
    lua.lua_rawseti(thread, -2, index + 1);
  }
}

/**
 * Reads the value at `index` as a reply: numbers lose their fraction, `true` is 1, `false` and everything unknown nil,
 * and an array ends before its first nil.
 */
export function readReply(lua: LuaApi, thread: LuaThread, index: number): RedisReply {
  switch (lua.lua_type(thread, index)) {
    case lua.LUA_TSTRING:
      return fromBytes(lua.lua_tostring(thread, index));
    case lua.LUA_TNUMBER:
      return toInteger(lua.lua_tonumber(thread, index));
    case lua.LUA_TBOOLEAN:
      return lua.lua_toboolean(thread, index) ? 1 : null;
    case lua.LUA_TTABLE:
      lua.lua_checkstack(thread, 4);
      return readRecord(lua, thread, index) ?? readArray(lua, thread, index);
    default:
      return null;
  }
}

/** Converts as a C cast to a 64-bit integer does on x86. */
function toInteger(value: number): number {
  const whole = Math.trunc(value) + 0;
  return whole >= -(2 ** 63) && whole < 2 ** 63 ? whole : -(2 ** 63);
}

/** Reads a table that one of its fields marks as a special reply. */
function readRecord(lua: LuaApi, thread: LuaThread, index: number): RedisReply | undefined {
  const table = lua.lua_absindex(thread, index);
  const field = <Result>(name: string, type: number, read: () => Result): Result | undefined => {
    const found = pushRawField(lua, thread, table, name) === type ? read() : undefined;
    lua.lua_pop(thread, 1);
    return found;
  };
  const line = (): string => readText(lua, thread, -1).replace(/[\r\n]/g, " ");
  const error = field("err", lua.LUA_TSTRING, line);
  if (error !== undefined) return { error };
  const status = field("ok", lua.LUA_TSTRING, line);
  if (status !== undefined) return { status };
  return (
    field("double", lua.LUA_TNUMBER, () => formatScore(lua.lua_tonumber(thread, -1))) ??
    field("map", lua.LUA_TTABLE, () => readEntries(lua, thread).flat()) ??
    field("set", lua.LUA_TTABLE, () => readEntries(lua, thread).map(([member]) => member)) ??
    field("big_number", lua.LUA_TSTRING, line)
  );
}

function readArray(lua: LuaApi, thread: LuaThread, index: number): RedisReply[] {
  const table = lua.lua_absindex(thread, index);
  const elements: RedisReply[] = [];
  while (lua.lua_rawgeti(thread, table, elements.length + 1) !== lua.LUA_TNIL) {
    elements.push(readReply(lua, thread, -1));
    lua.lua_pop(thread, 1);
  }
  lua.lua_pop(thread, 1);
  return elements;
}

/** Reads the keys and values of the table on top of the stack. */
function readEntries(lua: LuaApi, thread: LuaThread): (readonly [RedisReply, RedisReply])[] {
  const entries: (readonly [RedisReply, RedisReply])[] = [];
  lua.lua_pushnil(thread);
  while (lua.lua_next(thread, -2) !== 0) {
    entries.push([readReply(lua, thread, -2), readReply(lua, thread, -1)]);
    lua.lua_pop(thread, 1);
  }
  return entries;
}
