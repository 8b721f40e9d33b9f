import { fromBytes, toBytes } from "../bytes.ts";
import type { LuaApi, LuaFunction, LuaThread } from "./fengari.ts";

const names = new Map<string, Uint8Array>();

/** Bytes of a constant name; converted once. Not for text that scripts or users choose. */
export function nameBytes(name: string): Uint8Array {
  let bytes = names.get(name);
  if (bytes === undefined) names.set(name, (bytes = toBytes(name)));
  return bytes;
}

export function pushText(lua: LuaApi, thread: LuaThread, text: string): void {
  lua.lua_pushstring(thread, toBytes(text));
}

/** Reads a string, or a number as Lua prints it, without changing the stack. */
export function readText(lua: LuaApi, thread: LuaThread, index: number): string {
  lua.lua_pushvalue(thread, index);
  const text = fromBytes(lua.lua_tostring(thread, -1));
  lua.lua_pop(thread, 1);
  return text;
}

/** Reads a string argument; numbers count as strings. Raises "string expected" for others. */
export function checkText(lua: LuaApi, thread: LuaThread, index: number): string {
  return fromBytes(lua.luaL_checkstring(thread, index));
}

/** Pushes the raw value of a field of the table at `index` and returns its type. */
export function pushRawField(lua: LuaApi, thread: LuaThread, index: number, name: string): number {
  const table = lua.lua_absindex(thread, index);
  lua.lua_pushstring(thread, nameBytes(name));
  return lua.lua_rawget(thread, table);
}

/** Pushes a new table with one text field, the form in which scripts see statuses and errors. */
export function pushRecord(lua: LuaApi, thread: LuaThread, name: string, text: string): void {
  lua.lua_newtable(thread);
  pushText(lua, thread, text);
  lua.lua_setfield(thread, -2, nameBytes(name));
}

/** Raises a text as an error; with the position of the calling line, unless told otherwise. */
export function raise(lua: LuaApi, thread: LuaThread, message: string): never {
  lua.luaL_where(thread, 1);
  pushText(lua, thread, message);
  lua.lua_concat(thread, 2);
  return lua.lua_error(thread);
}

/** Sets functions as fields of the table on top of the stack. */
export function setFunctions(lua: LuaApi, thread: LuaThread, functions: Readonly<Record<string, LuaFunction>>): void {
  for (const [name, implementation] of Object.entries(functions)) {
    lua.lua_pushcfunction(thread, implementation);
    lua.lua_setfield(thread, -2, nameBytes(name));
  }
}

/** Sets numbers as fields of the table on top of the stack. */
export function setNumbers(lua: LuaApi, thread: LuaThread, numbers: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(numbers)) {
    lua.lua_pushnumber(thread, value);
    lua.lua_setfield(thread, -2, nameBytes(name));
  }
}
