import type { LuaApi, LuaFunction, LuaThread } from "./fengari.ts";
import { nameBytes, setFunctions, setNumbers } from "./stack.ts";

const DEGREES_PER_RADIAN = 180 / Math.PI;

/** Plain functions of one number. */
const FUNCTIONS: Readonly<Record<string, (value: number) => number>> = {
  abs: Math.abs,
  acos: Math.acos,
  asin: Math.asin,
  atan: Math.atan,
  ceil: Math.ceil,
  cos: Math.cos,
  cosh: Math.cosh,
  deg: (radians) => radians * DEGREES_PER_RADIAN,
  exp: Math.exp,
  floor: Math.floor,
  log: Math.log,
  log10: Math.log10,
  rad: (degrees) => degrees / DEGREES_PER_RADIAN,
  sin: Math.sin,
  sinh: Math.sinh,
  sqrt: Math.sqrt,
  tan: Math.tan,
  tanh: Math.tanh,
};

/** Plain functions of two numbers. */
const OPERATIONS: Readonly<Record<string, (left: number, right: number) => number>> = {
  atan2: Math.atan2,
  fmod: (left, right) => left % right,
  ldexp: (mantissa, exponent) => mantissa * 2 ** exponent,
  mod: (left, right) => left % right,
  pow: (base, exponent) => base ** exponent,
};

/** Sets the global `math`, all of whose results are doubles. */
export function openMathLibrary(lua: LuaApi, thread: LuaThread): void {
  const random = createDrand48();
  const number = (caller: LuaThread, index: number): number => lua.luaL_checknumber(caller, index);
  const push = (caller: LuaThread, ...values: number[]): number => {
    for (const value of values) lua.lua_pushnumber(caller, value);
    return values.length;
  };
  const numbers = (caller: LuaThread): number[] => {
    const count = Math.max(1, lua.lua_gettop(caller));
    return Array.from({ length: count }, (_, index) => number(caller, index + 1));
  };

  const library: Record<string, LuaFunction> = {
    frexp: (caller) => push(caller, ...splitExponent(number(caller, 1))),
    modf(caller) {
      const value = number(caller, 1);
      return push(caller, Math.trunc(value), Number.isFinite(value) ? value % 1 : 0);
    },
    max: (caller) => push(caller, Math.max(...numbers(caller))),
    min: (caller) => push(caller, Math.min(...numbers(caller))),
    random(caller) {
      const count = lua.lua_gettop(caller);
      if (count === 0) return push(caller, random.next());
      const low = count === 1 ? 1 : Math.trunc(number(caller, 1));
      const high = Math.trunc(number(caller, count === 1 ? 1 : 2));
      if (low > high) lua.luaL_argerror(caller, count === 1 ? 1 : 2, nameBytes("interval is empty"));
      return push(caller, Math.floor(random.next() * (high - low + 1)) + low);
    },
    randomseed(caller) {
      random.seed(number(caller, 1));
      return 0;
    },
  };
  for (const [name, compute] of Object.entries(FUNCTIONS)) {
    library[name] = (caller) => push(caller, compute(number(caller, 1)));
  }
  for (const [name, compute] of Object.entries(OPERATIONS)) {
    library[name] = (caller) => push(caller, compute(number(caller, 1), number(caller, 2)));
  }

  lua.lua_newtable(thread);
  setFunctions(lua, thread, library);
  setNumbers(lua, thread, { pi: Math.PI, huge: Infinity });
  lua.lua_setglobal(thread, nameBytes("math"));
}

/**
 * The generator `drand48` as Redis carries it: 31 bits of a 48-bit linear congruence.
 *
 * It starts the same in every engine, and one script goes on where the other stopped.
 */
function createDrand48(): { next(): number; seed(value: number): void } {
  const LARGEST = 2 ** 31 - 1;
  let state = 0x1234abcd330en;
  return {
    next() {
      state = (state * 0x5deece66dn + 0xbn) & 0xffffffffffffn;
      return (Number(state >> 17n) % LARGEST) / LARGEST;
    },
    seed(value) {
      state = (BigInt(Math.trunc(value) | 0) << 16n) + 0x330en;
    },
  };
}

/** Splits into a mantissa between 0.5 and 1 and a power of two. */
function splitExponent(value: number): readonly [mantissa: number, exponent: number] {
  if (value === 0 || !Number.isFinite(value)) return [value, 0];
  let exponent = Math.floor(Math.log2(Math.abs(value))) + 1;
  let mantissa = value / 2 ** exponent;
  while (Math.abs(mantissa) >= 1) [mantissa, exponent] = [mantissa / 2, exponent + 1];
  while (Math.abs(mantissa) < 0.5) [mantissa, exponent] = [mantissa * 2, exponent - 1];
  return [mantissa, exponent];
}
