import { formatExponential, formatFixed, formatGeneral } from "../number-format.ts";
import type { LuaApi, LuaFunction } from "./fengari.ts";
import { checkText, nameBytes, pushText, raise } from "./stack.ts";

/** `%`, flags, width, precision, conversion. */
const SPECIFICATION = /%([-+ #0]*)(\d{0,2})(?:\.(\d{0,2}))?([\s\S]?)/g;

interface Layout {
  readonly flags: string;
  readonly width: number;
  readonly precision: number | undefined;
}

/** Creates Lua 5.1's `string.format`, in which `%d` cuts off a fraction and counts in 64 bits. */
export function createStringFormat(lua: LuaApi): LuaFunction {
  return (thread) => {
    const format = checkText(lua, thread, 1);
    const count = lua.lua_gettop(thread);
    let argument = 1;
    const text = format.replace(
      SPECIFICATION,
      (whole, flags: string, width: string, digits: string | undefined, conversion: string) => {
        if (conversion === "%") return "%";
        if (++argument > count) lua.luaL_argerror(thread, argument, nameBytes("no value"));
        const layout = { flags, width: Number(width), precision: digits === undefined ? undefined : Number(digits) };
        const number = (): number => lua.luaL_checknumber(thread, argument);
        switch (conversion) {
          case "c":
            return pad(String.fromCharCode(number() & 0xff), layout);
          case "d":
          case "i":
            return formatInteger(toInteger(number()), layout);
          case "u":
          case "o":
          case "x":
          case "X":
            return formatUnsigned(BigInt.asUintN(64, toInteger(number())), conversion, layout);
          case "e":
          case "E":
          case "f":
          case "g":
          case "G":
            return formatFloat(number(), conversion, layout);
          case "q":
            return quote(checkText(lua, thread, argument));
          case "s": {
            const value = checkText(lua, thread, argument);
            return pad(layout.precision === undefined ? value : value.slice(0, layout.precision), layout);
          }
          default:
            return raise(lua, thread, `invalid option '${whole}' to 'format'`);
        }
      },
    );
    pushText(lua, thread, text);
    return 1;
  };
}

/** Converts as a C cast does on x86: what does not fit becomes the least integer. */
function toInteger(value: number): bigint {
  const whole = Math.trunc(value);
  return whole >= -(2 ** 63) && whole < 2 ** 63 ? BigInt(whole) : -(2n ** 63n);
}

function formatInteger(value: bigint, layout: Layout): string {
  const digits = (value < 0n ? -value : value).toString().padStart(layout.precision ?? 1, "0");
  return padNumber(signOf(value < 0n, layout), layout.precision === 0 && value === 0n ? "" : digits, layout);
}

function formatUnsigned(value: bigint, conversion: string, layout: Layout): string {
  const radix = conversion === "u" ? 10 : conversion === "o" ? 8 : 16;
  const digits = value.toString(radix).padStart(layout.precision ?? 1, "0");
  const prefix = layout.flags.includes("#") && value !== 0n ? { u: "", o: "0", x: "0x", X: "0x" }[conversion] : "";
  const text = padNumber(prefix ?? "", digits, layout);
  return conversion === "X" ? text.toUpperCase() : text;
}

function formatFloat(value: number, conversion: string, layout: Layout): string {
  const precision = layout.precision ?? 6;
  const magnitude = Math.abs(value);
  const formats: Readonly<Record<string, () => string>> = {
    e: () => formatExponential(magnitude, precision),
    f: () => formatFixed(magnitude, precision),
    g: () => formatGeneral(magnitude, precision, layout.flags.includes("#")),
  };
  const digits = formats[conversion.toLowerCase()]?.() ?? "";
  const negative = value < 0 || Object.is(value, -0);
  const finite = Number.isFinite(value);
  const text = padNumber(
    signOf(negative, layout),
    digits,
    finite ? layout : { ...layout, flags: layout.flags.replace("0", "") },
  );
  return conversion === conversion.toLowerCase() ? text : text.toUpperCase();
}

function signOf(negative: boolean, { flags }: Layout): string {
  if (negative) return "-";
  if (flags.includes("+")) return "+";
  return flags.includes(" ") ? " " : "";
}

/** Pads with zeros between sign and digits if asked to, else with spaces. */
function padNumber(sign: string, digits: string, layout: Layout): string {
  if (!layout.flags.includes("0") || layout.flags.includes("-")) return pad(sign + digits, layout);
  return sign + digits.padStart(layout.width - sign.length, "0");
}

function pad(text: string, { flags, width }: Layout): string {
  return flags.includes("-") ? text.padEnd(width) : text.padStart(width);
}

function quote(text: string): string {
  const escaped = text
    .replace(/["\\\n]/g, "\\$&")
    .replace(/\r/g, "\\r")
    .replace(/\0/g, "\\000");
  return `"${escaped}"`;
}
