import type { LuaApi, LuaThread } from "./fengari.ts";
import { nameBytes, pushText, setFunctions } from "./stack.ts";

/** Sets the global `bit`, LuaBitOp's operations on 32-bit integers. */
export function openBitLibrary(lua: LuaApi, thread: LuaThread): void {
  const bits = (caller: LuaThread, index: number): number => lua.luaL_checknumber(caller, index) | 0;
  const unary = (compute: (value: number) => number) => (caller: LuaThread) => {
    lua.lua_pushnumber(caller, compute(bits(caller, 1)) | 0);
    return 1;
  };
  const shift = (compute: (value: number, count: number) => number) => (caller: LuaThread) => {
    lua.lua_pushnumber(caller, compute(bits(caller, 1), bits(caller, 2) & 31) | 0);
    return 1;
  };
  const fold = (compute: (left: number, right: number) => number) => (caller: LuaThread) => {
    let result = bits(caller, 1);
    for (let index = 2; index <= lua.lua_gettop(caller); index++) result = compute(result, bits(caller, index));
    lua.lua_pushnumber(caller, result);
    return 1;
  };
  lua.lua_newtable(thread);
  setFunctions(lua, thread, {
    tobit: unary((value) => value),
    bnot: unary((value) => ~value),
    bswap: unary((value) => (value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)),
    band: fold((left, right) => left & right),
    bor: fold((left, right) => left | right),
    bxor: fold((left, right) => left ^ right),
    lshift: shift((value, count) => value << count),
    rshift: shift((value, count) => value >>> count),
    arshift: shift((value, count) => value >> count),
    rol: shift((value, count) => (value << count) | (value >>> (32 - count))),
    ror: shift((value, count) => (value >>> count) | (value << (32 - count))),
    tohex(caller) {
      const digits = lua.lua_gettop(caller) > 1 ? bits(caller, 2) : 8;
      const hex = (bits(caller, 1) >>> 0)
        .toString(16)
        .padStart(8, "0")
        .slice(-Math.min(8, Math.abs(digits)));
      pushText(lua, caller, digits < 0 ? hex.toUpperCase() : hex);
      return 1;
    },
  });
  lua.lua_setglobal(thread, nameBytes("bit"));
}
