/** What a contract expects: few checks, so that a suite runs under any test framework, and messages that say what was found. */

/** Thrown where an implementation breaks its contract. */
export class ContractError extends Error {
  /** How it is told from other errors. */
  override readonly name = "ContractError";
}

/** Fails with `message` unless `condition` holds. */
export function expectThat(condition: boolean, message: string): asserts condition {
  if (!condition) throw new ContractError(message);
}

/** Fails unless both values have the same structure; an absent field equals one that is `undefined`. */
export function expectEqual(found: unknown, expected: unknown, what: string): void {
  const difference = firstDifference(found, expected, "");
  if (difference !== undefined) throw new ContractError(`${what}: ${difference}`);
}

function firstDifference(found: unknown, expected: unknown, path: string): string | undefined {
  if (Object.is(found, expected)) return undefined;
  if (!isObject(found) || !isObject(expected) || Array.isArray(found) !== Array.isArray(expected)) {
    return `expected ${show(expected)}, found ${show(found)}${path === "" ? "" : ` at ${path.slice(1)}`}`;
  }
  for (const name of new Set([...Object.keys(expected), ...Object.keys(found)])) {
    const difference = firstDifference(found[name], expected[name], `${path}.${name}`);
    if (difference !== undefined) return difference;
  }
  return undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/** A value as text, short enough for a line. */
function show(value: unknown): string {
  const text = typeof value === "string" ? JSON.stringify(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 200 ? `${text.slice(0, 200)}… (${text.length} characters)` : text;
}
