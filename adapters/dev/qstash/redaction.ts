import { sha256Hex } from "./bytes.ts";
import type { HeaderMap } from "./header-map.ts";

/** What the API, the log and the dead-letter queue show of a message; the delivery itself is never redacted. */
export interface Shown {
  readonly header: HeaderMap;
  /** Stands in for the body, if that was to be redacted. */
  readonly redactedBody?: string;
}

const encoder = new TextEncoder();

/** Applies `Upstash-Redact-Fields`: `body`, `header` (or `headers`) for all headers, `header[Name]` for one. */
export async function redact(
  fields: string | undefined,
  header: HeaderMap,
  body: Uint8Array<ArrayBuffer>,
): Promise<Shown> {
  const wanted = new Set((fields ?? "").split(",").map((field) => field.trim().toLowerCase()));
  const all = wanted.has("header") || wanted.has("headers");
  const shown: Record<string, readonly string[]> = {};
  for (const [name, values] of Object.entries(header)) {
    const one = name.toLowerCase();
    const hidden = all || wanted.has(`header[${one}]`) || wanted.has(`headers[${one}]`);
    shown[name] = hidden ? await Promise.all(values.map((value) => digest(encoder.encode(value)))) : values;
  }
  return wanted.has("body") ? { header: shown, redactedBody: await digest(body) } : { header: shown };
}

async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return `REDACTED:${await sha256Hex(bytes)}`;
}
