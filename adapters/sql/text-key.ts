/**
 * A text as a key column takes it: any text of JavaScript, one to one. PostgreSQL takes no NUL, and UTF-8 has no lone
 * surrogates.
 */
export function textKey(text: string): string {
  return text.replace(/[\\\0\p{Cs}]/gu, (letter) => `\\${letter.codePointAt(0)!.toString(16).padStart(4, "0")}`);
}

/** The text that {@link textKey} was made of. */
export function fromTextKey(key: string): string {
  return key.replace(/\\([0-9a-f]{4})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
