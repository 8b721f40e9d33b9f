/** Headers as the API shows them: canonical names (`Content-Type`), each with all its values. */
export type HeaderMap = Readonly<Record<string, readonly string[]>>;

/** The message's own headers that no HTTP client may set by hand: they belong to the connection. */
const CONNECTION_HEADERS = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

export function isConnectionHeader(name: string): boolean {
  return CONNECTION_HEADERS.has(name.toLowerCase());
}

/** `bypass-tunnel-reminder` → `Bypass-Tunnel-Reminder`. */
export function canonicalHeaderName(name: string): string {
  return name.toLowerCase().replace(/(^|-)[a-z]/g, (letters) => letters.toUpperCase());
}

export function toHeaderMap(headers: Iterable<readonly [string, string]>): HeaderMap {
  const map: Record<string, string[]> = {};
  for (const [name, value] of headers) (map[canonicalHeaderName(name)] ??= []).push(value);
  return map;
}
