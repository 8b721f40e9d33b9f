import { formatGeneral } from "../number-format.ts";
import type { LuaApi, LuaThread } from "./fengari.ts";
import { raise, readText } from "./stack.ts";

const NUMBER_PRECISION = 14;
const DEEPEST = 1000;
/** An array may have this many times more positions than elements … */
const SPARSE_RATIO = 2;
/** … once it has more positions than this. */
const SPARSE_SAFE = 10;

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "/": "\\/",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

/** Prints the value at `index` as lua-cjson does: `{}` for an empty table, 14 digits, slashes escaped. */
export function encodeJson(lua: LuaApi, thread: LuaThread, index: number, depth = 0): string {
  const type = lua.lua_type(thread, index);
  switch (type) {
    case lua.LUA_TSTRING:
      return quote(readText(lua, thread, index));
    case lua.LUA_TNUMBER:
      return printNumber(lua, thread, index);
    case lua.LUA_TBOOLEAN:
      return lua.lua_toboolean(thread, index) ? "true" : "false";
    case lua.LUA_TNIL:
      return "null";
    case lua.LUA_TTABLE:
      return encodeTable(lua, thread, lua.lua_absindex(thread, index), depth + 1);
    case lua.LUA_TLIGHTUSERDATA:
      if (lua.lua_touserdata(thread, index) === null) return "null";
  }
  return raise(lua, thread, `Cannot serialise ${typeName(lua, thread, index)}: type not supported`);
}

function encodeTable(lua: LuaApi, thread: LuaThread, table: number, depth: number): string {
  if (depth > DEEPEST) raise(lua, thread, `Cannot serialise, excessive nesting (${depth})`);
  lua.lua_checkstack(thread, 4);
  const length = arrayLength(lua, thread, table);
  return length === undefined
    ? encodeObject(lua, thread, table, depth)
    : encodeArray(lua, thread, table, length, depth);
}

/** The largest position of a table that has nothing but positions, and is not empty. */
function arrayLength(lua: LuaApi, thread: LuaThread, table: number): number | undefined {
  let largest = 0;
  let count = 0;
  lua.lua_pushnil(thread);
  while (lua.lua_next(thread, table) !== 0) {
    lua.lua_pop(thread, 1);
    const position = lua.lua_type(thread, -1) === lua.LUA_TNUMBER ? lua.lua_tonumber(thread, -1) : 0;
    if (position < 1 || !Number.isInteger(position)) {
      lua.lua_pop(thread, 1);
      return undefined;
    }
    largest = Math.max(largest, position);
    count++;
  }
  if (largest > count * SPARSE_RATIO && largest > SPARSE_SAFE) {
    raise(lua, thread, "Cannot serialise table: excessively sparse array");
  }
  return count === 0 ? undefined : largest;
}

function encodeArray(lua: LuaApi, thread: LuaThread, table: number, length: number, depth: number): string {
  const elements: string[] = [];
  for (let position = 1; position <= length; position++) {
    lua.lua_rawgeti(thread, table, position);
    elements.push(encodeJson(lua, thread, -1, depth));
    lua.lua_pop(thread, 1);
  }
  return `[${elements.join(",")}]`;
}

function encodeObject(lua: LuaApi, thread: LuaThread, table: number, depth: number): string {
  const members: string[] = [];
  lua.lua_pushnil(thread);
  while (lua.lua_next(thread, table) !== 0) {
    members.push(`${encodeName(lua, thread, -2)}:${encodeJson(lua, thread, -1, depth)}`);
    lua.lua_pop(thread, 1);
  }
  return `{${members.join(",")}}`;
}

function encodeName(lua: LuaApi, thread: LuaThread, index: number): string {
  const type = lua.lua_type(thread, index);
  if (type === lua.LUA_TSTRING) return quote(readText(lua, thread, index));
  if (type === lua.LUA_TNUMBER) return `"${printNumber(lua, thread, index)}"`;
  const name = typeName(lua, thread, index);
  return raise(lua, thread, `Cannot serialise ${name}: table key must be a number or string`);
}

function printNumber(lua: LuaApi, thread: LuaThread, index: number): string {
  const value = lua.lua_tonumber(thread, index);
  if (!Number.isFinite(value)) raise(lua, thread, "Cannot serialise number: must not be NaN or Inf");
  return formatGeneral(value, NUMBER_PRECISION);
}

function quote(text: string): string {
  // oxlint-disable-next-line no-control-regex -- JSON escapes control characters
  const escaped = text.replace(/[\0-\x1f"\\/\x7f]/g, (character) => {
    return ESCAPES[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
  return `"${escaped}"`;
}

function typeName(lua: LuaApi, thread: LuaThread, index: number): string {
  return String.fromCharCode(...lua.lua_typename(thread, lua.lua_type(thread, index)));
}
