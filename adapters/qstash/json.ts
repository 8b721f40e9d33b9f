/** An object of unknown fields; read them with {@link field}. */
export type Fields = Readonly<Record<string, unknown>>;

/** Tells whether a parsed JSON value is an object. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The object that a JSON text stands for, or `undefined` where it is not one. */
export function parseFields(text: string | undefined): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text ?? "");
    return isFields(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** An own property: nothing is found on the prototype, whatever names the JSON has. */
export function field(fields: Fields, name: string): unknown {
  return Object.hasOwn(fields, name) ? fields[name] : undefined;
}

/** An own property that is text. */
export function textField(fields: Fields, name: string): string | undefined {
  const value = field(fields, name);
  return typeof value === "string" ? value : undefined;
}

/**
 * A header out of a map as QStash shows it. Names come in any case, values as text or as an array of texts, depending on
 * the place; the first value counts.
 */
export function headerOf(headers: unknown, name: string): string | undefined {
  if (!isFields(headers)) return undefined;
  for (const [key, value] of Object.entries(headers)) {
    if (key.toLowerCase() !== name.toLowerCase()) continue;
    const first: unknown = Array.isArray(value) ? value[0] : value;
    return typeof first === "string" ? first : undefined;
  }
  return undefined;
}
