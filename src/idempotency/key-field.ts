import { MAX_KEY_LENGTH } from "./options.ts";

/** The key of a request, or what was found instead. */
export type KeyField = { readonly key: string } | { readonly found: string };

/** Any of the printable ASCII, but for a quote or a backslash that is not escaped. */
const STRING = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/;
/** What clients send as it is: UUIDs, numbers, words of letters and digits. */
const UNQUOTED = /^[A-Za-z0-9_.:~+/=-]+$/;
/** A key of characters that all are escaped, in quotes. */
const MAX_FIELD_LENGTH = 2 * MAX_KEY_LENGTH + 2;
const MAX_SHOWN = 64;

/**
 * Reads an `Idempotency-Key` field: a String of Structured Fields, and nothing else; with `acceptUnquoted` also one whose
 * quotes were forgotten, which is the same key.
 *
 * Source: draft-ietf-httpapi-idempotency-key-header, section 2.1; RFC 9651, sections 3.3.3 and 4.2.5.
 */
export function parseKey(text: string, { acceptUnquoted = false }: { readonly acceptUnquoted?: boolean }): KeyField {
  if (text.length > MAX_FIELD_LENGTH) return { found: `one of ${text.length} characters` };
  const escaped = STRING.exec(text)?.[1];
  const key = escaped?.replace(/\\(["\\])/g, "$1") ?? (acceptUnquoted && UNQUOTED.test(text) ? text : undefined);
  if (key === undefined) return { found: describe(text) };
  if (key === "") return { found: "an empty one" };
  return key.length <= MAX_KEY_LENGTH ? { key } : { found: `one of ${key.length} characters` };
}

function describe(text: string): string {
  if (text === "") return "nothing";
  const shown = JSON.stringify(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text);
  if (UNQUOTED.test(text)) return `${shown} without quotes`;
  return /^".*"\s*,/.test(text) ? `several, ${shown}` : shown;
}
