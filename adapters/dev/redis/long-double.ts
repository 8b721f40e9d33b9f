import { CommandError, notAFloat } from "./reply.ts";

/**
 * INCRBYFLOAT's arithmetic: x86 long doubles (a 64-bit significand), printed with 17 decimals without trailing zeros.
 *
 * So 3000 + 1.1 reads as 3001.10000000000000009, as on a real server.
 */

const DECIMAL = /^([+-]?)(\d*)\.?(\d*)(?:e([+-]?\d+))?$/i;
const SIGNIFICAND_BITS = 64;
const PRINTED_DECIMALS = 17;
/** Sizes of numbers worth computing with; past them Redis, too, only answers an error or zero. */
const EXPONENT_LIMIT = 4932;

/** A fraction with a positive denominator. */
interface Fraction {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** Adds two decimal texts. Throws "not a valid float", or "would produce NaN or Infinity". */
export function addLongDoubles(left: string, right: string): string {
  const a = rounded(parse(left));
  const b = rounded(parse(right));
  const sum = rounded({
    numerator: a.numerator * b.denominator + b.numerator * a.denominator,
    denominator: a.denominator * b.denominator,
  });
  return print(sum);
}

function parse(text: string): Fraction {
  if (/^[+-]?inf(inity)?$/i.test(text)) {
    throw new CommandError("ERR increment would produce NaN or Infinity");
  }
  const [, sign = "", whole = "", decimals = "", exponent = "0"] = DECIMAL.exec(text) ?? [];
  if (whole + decimals === "" || Math.abs(Number(exponent)) > EXPONENT_LIMIT) throw notAFloat();
  const digits = BigInt(whole + decimals) * (sign === "-" ? -1n : 1n);
  const power = Number(exponent) - decimals.length;
  return power >= 0
    ? { numerator: digits * 10n ** BigInt(power), denominator: 1n }
    : { numerator: digits, denominator: 10n ** BigInt(-power) };
}

/** Rounds to the nearest number with a 64-bit significand, ties to even. */
function rounded({ numerator, denominator }: Fraction): Fraction {
  if (numerator === 0n) return { numerator, denominator: 1n };
  const magnitude = numerator < 0n ? -numerator : numerator;
  let shift = SIGNIFICAND_BITS - (bitLength(magnitude) - bitLength(denominator));
  const scaled = (): bigint =>
    shift >= 0
      ? divideToEven(magnitude << BigInt(shift), denominator)
      : divideToEven(magnitude, denominator << BigInt(-shift));
  if (bitLength(scaled()) > SIGNIFICAND_BITS) shift--;
  const significand = numerator < 0n ? -scaled() : scaled();
  return shift >= 0
    ? { numerator: significand, denominator: 1n << BigInt(shift) }
    : { numerator: significand << BigInt(-shift), denominator: 1n };
}

function print({ numerator, denominator }: Fraction): string {
  const magnitude = numerator < 0n ? -numerator : numerator;
  const scaled = divideToEven(magnitude * 10n ** BigInt(PRINTED_DECIMALS), denominator).toString();
  const padded = scaled.padStart(PRINTED_DECIMALS + 1, "0");
  const whole = padded.slice(0, -PRINTED_DECIMALS);
  const decimals = padded.slice(-PRINTED_DECIMALS).replace(/0+$/, "");
  const text = decimals === "" ? whole : `${whole}.${decimals}`;
  return numerator < 0n && text !== "0" ? `-${text}` : text;
}

function divideToEven(dividend: bigint, divisor: bigint): bigint {
  const quotient = dividend / divisor;
  const twice = (dividend % divisor) * 2n;
  return twice > divisor || (twice === divisor && quotient % 2n === 1n) ? quotient + 1n : quotient;
}

function bitLength(value: bigint): number {
  return value.toString(2).length;
}
