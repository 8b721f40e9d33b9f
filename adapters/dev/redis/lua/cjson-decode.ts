import { fromText } from "../bytes.ts";

/** A JSON value whose texts are byte strings; objects are maps, so that any name is safe. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | ReadonlyMap<string, JsonValue>;

/** Thrown for a text that is no JSON, with lua-cjson's message. */
export class JsonDecodeError extends Error {
  override readonly name = "JsonDecodeError";
}

const DEEPEST = 1000;
const NUMBER = /-?(?:0x[\da-f]+|inf(?:inity)?|nan|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)/iy;
const LITERALS: readonly (readonly [string, JsonValue])[] = [
  ["true", true],
  ["false", false],
  ["null", null],
];
const ESCAPED: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

/** What lua-cjson calls the tokens it did not expect. */
const TOKEN_NAMES: Readonly<Record<string, string>> = {
  "": "T_END",
  "{": "T_OBJ_BEGIN",
  "}": "T_OBJ_END",
  "[": "T_ARR_BEGIN",
  "]": "T_ARR_END",
  ",": "T_COMMA",
  ":": "T_COLON",
  '"': "T_STRING",
};

/** Parses JSON as lua-cjson does: besides, hexadecimal numbers, NaN and infinities are numbers. */
export function decodeJson(text: string): JsonValue {
  let at = 0;
  let depth = 0;

  const fail = (expected: string, found = tokenName(text, at)): never => {
    throw new JsonDecodeError(`Expected ${expected} but found ${found} at character ${at + 1}`);
  };
  const skipSpace = (): void => {
    while (at < text.length && " \t\n\r".includes(text[at]!)) at++;
  };
  const take = (symbol: string): boolean => {
    skipSpace();
    if (text[at] !== symbol) return false;
    at++;
    return true;
  };
  const nested = <Value>(read: () => Value): Value => {
    if (++depth > DEEPEST) {
      throw new JsonDecodeError(`Found too many nested data structures (${depth}) at character ${at}`);
    }
    const value = read();
    depth--;
    return value;
  };

  const readValue = (): JsonValue => {
    skipSpace();
    if (take("{")) return nested(readObject);
    if (take("[")) return nested(readArray);
    if (text[at] === '"') return readString();
    for (const [word, value] of LITERALS) {
      if (text.startsWith(word, at)) {
        at += word.length;
        return value;
      }
    }
    return readNumber() ?? fail("value");
  };
  const readObject = (): ReadonlyMap<string, JsonValue> => {
    const members = new Map<string, JsonValue>();
    if (take("}")) return members;
    do {
      skipSpace();
      if (text[at] !== '"') fail("object key string");
      const name = readString();
      if (!take(":")) fail("colon");
      members.set(name, readValue());
    } while (take(","));
    if (!take("}")) fail("comma or object end");
    return members;
  };
  const readArray = (): readonly JsonValue[] => {
    const elements: JsonValue[] = [];
    if (take("]")) return elements;
    do elements.push(readValue());
    while (take(","));
    if (!take("]")) fail("comma or array end");
    return elements;
  };
  const readNumber = (): number | undefined => {
    NUMBER.lastIndex = at;
    const found = NUMBER.exec(text)?.[0];
    if (found === undefined) return undefined;
    at += found.length;
    return toNumber(found.toLowerCase());
  };
  const readString = (): string => {
    let value = "";
    for (at++; text[at] !== '"'; at++) {
      if (at >= text.length) fail("value", "unexpected end of string");
      value += text[at] === "\\" ? readEscape() : text[at];
    }
    at++;
    return value;
  };
  const readEscape = (): string => {
    const symbol = text[++at] ?? "";
    if (symbol === "u") return readUnicodeEscape();
    if (!/["\\/bfnrt]/.test(symbol)) fail("value", "invalid escape code");
    return ESCAPED[symbol] ?? symbol;
  };
  const readUnicodeEscape = (): string => {
    const [escape = "", high, low] =
      /^u(d[89ab][\da-f]{2})\\u(d[c-f][\da-f]{2})|^u(?!d[89a-f])[\da-f]{4}/i.exec(text.slice(at, at + 11)) ?? [];
    if (escape === "") fail("value", "invalid unicode escape code");
    at += escape.length - 1;
    const units = high === undefined || low === undefined ? [escape.slice(1)] : [high, low];
    return fromText(String.fromCharCode(...units.map((unit) => Number.parseInt(unit, 16))));
  };

  const value = readValue();
  skipSpace();
  if (at < text.length) fail("the end");
  return value;
}

function tokenName(text: string, at: number): string {
  const symbol = text[at] ?? "";
  NUMBER.lastIndex = at;
  if (NUMBER.test(text)) return "T_NUMBER";
  return TOKEN_NAMES[symbol] ?? "invalid token";
}

function toNumber(text: string): number {
  if (text.endsWith("nan")) return Number.NaN;
  const magnitude = text.replace("-", "");
  const value = magnitude.startsWith("inf") ? Infinity : Number(magnitude);
  return text.startsWith("-") ? -value : value;
}
