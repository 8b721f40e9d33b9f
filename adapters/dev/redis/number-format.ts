/**
 * `printf`'s number conversions: `%f`, `%e` and `%g` with a precision.
 *
 * They differ from `toFixed`, `toExponential` and `toPrecision` in how they break a tie (to the even digit), in the
 * two digits an exponent has, and in the spelling of infinity.
 */

/** Enough digits to tell an exact tie from a value just above it. */
const TIE_DIGITS = 100;

/** Formats as `%.<digits>f`. */
export function formatFixed(value: number, digits: number): string {
  const special = formatSpecial(value);
  if (special !== undefined) return special;
  const magnitude = Math.abs(value);
  if (magnitude >= 1e21) {
    const whole = BigInt(magnitude).toString();
    return sign(value) + (digits > 0 ? `${whole}.${"0".repeat(digits)}` : whole);
  }
  if (Number.isSafeInteger(value) && digits === 0) return Object.is(value, -0) ? "-0" : String(value);
  const exact = magnitude.toFixed(TIE_DIGITS);
  return sign(value) + roundedToEven(magnitude.toFixed(digits), exact, exact.indexOf(".") + 1 + digits);
}

/** Formats as `%.<digits>e`. */
export function formatExponential(value: number, digits: number): string {
  const special = formatSpecial(value);
  if (special !== undefined) return special;
  const { mantissa, exponent } = scientific(Math.abs(value), digits);
  return `${sign(value)}${mantissa}e${formatExponent(exponent)}`;
}

/** Formats as `%.<precision>g`: the shorter of the two others, without trailing zeros unless `keepZeros` (`%#g`). */
export function formatGeneral(value: number, precision: number, keepZeros = false): string {
  if (Number.isInteger(value) && !keepZeros && value !== 0 && Math.abs(value) < Math.min(10 ** precision, 2 ** 53)) {
    return String(value);
  }
  const special = formatSpecial(value);
  if (special !== undefined) return special;
  const significant = precision === 0 ? 1 : precision;
  const { mantissa, exponent } = scientific(Math.abs(value), significant - 1);
  const trim = (digits: string): string => (keepZeros || !digits.includes(".") ? digits : digits.replace(/\.?0+$/, ""));
  return exponent < -4 || exponent >= significant
    ? `${sign(value)}${trim(mantissa)}e${formatExponent(exponent)}`
    : trim(formatFixed(value, significant - 1 - exponent));
}

function scientific(magnitude: number, digits: number): { readonly mantissa: string; readonly exponent: number } {
  const [mantissa = "0", exponent = "0"] = magnitude.toExponential(digits).split("e");
  const [exact = "0", exactExponent = "0"] = magnitude.toExponential(TIE_DIGITS).split("e");
  if (exponent !== exactExponent) return { mantissa, exponent: Number(exponent) };
  return { mantissa: roundedToEven(mantissa, exact, 2 + digits), exponent: Number(exponent) };
}

/** Undoes the rounding up of an exact tie when the digit below is the even one. */
function roundedToEven(rounded: string, exact: string, dropped: number): string {
  if (!/^50*$/.test(exact.slice(dropped))) return rounded;
  const truncated = exact.slice(0, dropped).replace(/\.$/, "");
  return Number(truncated.at(-1)) % 2 === 0 ? truncated : rounded;
}

function formatExponent(exponent: number): string {
  return `${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

function formatSpecial(value: number): string | undefined {
  if (Number.isNaN(value)) return "-nan";
  if (value === Infinity) return "inf";
  if (value === -Infinity) return "-inf";
  return undefined;
}

function sign(value: number): string {
  return value < 0 || Object.is(value, -0) ? "-" : "";
}
