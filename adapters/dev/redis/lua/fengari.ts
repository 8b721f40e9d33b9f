import { createRequire } from "node:module";
import { PackageMissingError } from "../package-missing.ts";

/** A Lua thread of fengari's; opaque but for what `lua51.ts` needs. */
export interface LuaThread {
  readonly top: number;
}

/** A function that Lua calls: it finds its arguments on the stack and returns how many results it pushed. */
export type LuaFunction = (thread: LuaThread) => number;

/** Where a call stands, as `lua_getinfo` fills it in. */
export interface LuaDebug {
  readonly source: Uint8Array;
  readonly currentline: number;
}

/** The part of fengari's C-like API that is used here. Strings are bytes; indexes count from 1, or from the top at -1. */
export interface LuaApi {
  readonly LUA_OK: number;
  readonly LUA_REGISTRYINDEX: number;
  readonly LUA_MULTRET: number;
  readonly LUA_TNIL: number;
  readonly LUA_TBOOLEAN: number;
  readonly LUA_TLIGHTUSERDATA: number;
  readonly LUA_TNUMBER: number;
  readonly LUA_TSTRING: number;
  readonly LUA_TTABLE: number;
  readonly lua_Debug: new () => LuaDebug;

  luaL_newstate(): LuaThread;
  luaL_requiref(thread: LuaThread, name: Uint8Array, open: LuaFunction, global: 0 | 1): void;
  luaopen_base: LuaFunction;
  luaopen_coroutine: LuaFunction;
  luaopen_string: LuaFunction;
  luaopen_table: LuaFunction;

  luaL_loadbuffer(thread: LuaThread, code: Uint8Array, size: number, name: Uint8Array): number;
  lua_call(thread: LuaThread, args: number, results: number): void;
  lua_pcall(thread: LuaThread, args: number, results: number, handler: number): number;
  lua_error(thread: LuaThread): never;
  luaL_where(thread: LuaThread, level: number): void;
  luaL_argerror(thread: LuaThread, index: number, message: Uint8Array): never;
  luaL_checkany(thread: LuaThread, index: number): void;
  luaL_checknumber(thread: LuaThread, index: number): number;
  luaL_checkstring(thread: LuaThread, index: number): Uint8Array;
  luaL_optnumber(thread: LuaThread, index: number, fallback: number): number;
  luaL_checktype(thread: LuaThread, index: number, type: number): void;
  lua_atnativeerror(thread: LuaThread, handler: LuaFunction): void;
  lua_getstack(thread: LuaThread, level: number, debug: LuaDebug): 0 | 1;
  lua_getinfo(thread: LuaThread, what: Uint8Array, debug: LuaDebug): number;

  lua_gettop(thread: LuaThread): number;
  lua_settop(thread: LuaThread, index: number): void;
  lua_absindex(thread: LuaThread, index: number): number;
  lua_checkstack(thread: LuaThread, size: number): boolean;
  lua_concat(thread: LuaThread, count: number): void;
  lua_insert(thread: LuaThread, index: number): void;
  lua_pop(thread: LuaThread, count: number): void;
  lua_replace(thread: LuaThread, index: number): void;
  lua_pushvalue(thread: LuaThread, index: number): void;

  lua_pushboolean(thread: LuaThread, value: boolean): void;
  lua_pushcfunction(thread: LuaThread, value: LuaFunction): void;
  lua_pushlightuserdata(thread: LuaThread, value: unknown): void;
  lua_pushnil(thread: LuaThread): void;
  lua_pushnumber(thread: LuaThread, value: number): void;
  lua_pushstring(thread: LuaThread, value: Uint8Array): void;
  lua_pushglobaltable(thread: LuaThread): void;

  lua_type(thread: LuaThread, index: number): number;
  lua_typename(thread: LuaThread, type: number): Uint8Array;
  luaL_tolstring(thread: LuaThread, index: number): Uint8Array;
  lua_toboolean(thread: LuaThread, index: number): boolean;
  lua_tocfunction(thread: LuaThread, index: number): LuaFunction;
  lua_tonumber(thread: LuaThread, index: number): number;
  lua_tostring(thread: LuaThread, index: number): Uint8Array;
  lua_touserdata(thread: LuaThread, index: number): unknown;
  lua_topointer(thread: LuaThread, index: number): object | null;

  lua_newtable(thread: LuaThread): void;
  lua_getfield(thread: LuaThread, index: number, name: Uint8Array): number;
  lua_next(thread: LuaThread, index: number): number;
  lua_rawget(thread: LuaThread, index: number): number;
  lua_rawgeti(thread: LuaThread, index: number, key: number): number;
  lua_rawset(thread: LuaThread, index: number): void;
  lua_rawseti(thread: LuaThread, index: number, key: number): void;
  lua_setfield(thread: LuaThread, index: number, name: Uint8Array): void;
  lua_setglobal(thread: LuaThread, name: Uint8Array): void;
  lua_getmetatable(thread: LuaThread, index: number): boolean;
  lua_setmetatable(thread: LuaThread, index: number): void;
  luaL_ref(thread: LuaThread, index: number): number;
  luaL_unref(thread: LuaThread, index: number, reference: number): void;
}

const require = createRequire(import.meta.url);

/** Loads one of fengari's modules, which are CommonJS, without waiting. Throws {@link PackageMissingError}. */
export function loadFengariModule(path = ""): unknown {
  try {
    return require(`fengari${path}`);
  } catch (cause) {
    throw new PackageMissingError("fengari", "run Lua scripts", cause);
  }
}

/** Loads fengari as one flat API. */
export function loadLua(): LuaApi {
  const { lua, lauxlib, lualib } = loadFengariModule() as Record<"lua" | "lauxlib" | "lualib", LuaApi>;
  return { ...lualib, ...lauxlib, ...lua };
}
