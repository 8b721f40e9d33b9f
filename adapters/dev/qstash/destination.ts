import { ApiError } from "./api-error.ts";

/** Says whether the engine may deliver to a URL. */
export type AllowDestination = (url: URL) => boolean;

const INVALID_SCHEME = "invalid destination url: endpoint has invalid scheme, add http:// or https://";

/**
 * Loopback hosts only: what the default of `allowDestinations` lets through. The deliveries are made from the
 * developer's own machine, so anything else could reach into their network.
 */
export function loopbackOnly({ hostname }: URL): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/** Whether a destination is written as a URL; otherwise it may be the name of a URL group. */
export function isUrl(destination: string): boolean {
  return /^https?:\/\//i.test(destination);
}

/**
 * Checks a destination and returns it as it came: the signature's subject is what the publisher wrote, so nothing is
 * normalised. No name is resolved here: an unreachable host is a failed delivery.
 *
 * @throws ApiError 400 for a wrong scheme, a URL that cannot be parsed, and a host that is not allowed
 */
export function checkDestination(destination: string, allow: AllowDestination): string {
  if (!isUrl(destination)) throw new ApiError(400, INVALID_SCHEME);
  if (!URL.canParse(destination)) throw new ApiError(400, `invalid destination url: can not parse "${destination}"`);
  const url = new URL(destination);
  if (!allow(url)) {
    const hint = "this development server delivers to loopback hosts only, unless it is started with allowDestinations";
    throw new ApiError(400, `invalid destination url: "${url.host}" is not allowed: ${hint}`);
  }
  return destination;
}

/**
 * The part of a request's path after `prefix`, with the query parameters that are the destination's own. Taken from
 * the raw URL: nothing is decoded, and no slashes are merged.
 */
export function rawDestination(requestUrl: string, prefix: string): string {
  const { pathname, search } = new URL(requestUrl);
  const own = search
    .slice(1)
    .split("&")
    .filter((pair) => pair !== "" && !isOurs(pair));
  const path = pathname.slice(prefix.length);
  return own.length === 0 ? path : `${path}?${own.join("&")}`;
}

/** The `upstash-*` query parameters of a request: the same configuration as the headers of these names. */
export function configParameters(requestUrl: string): readonly (readonly [string, string])[] {
  return [...new URL(requestUrl).searchParams].filter(([name]) => /^upstash-/i.test(name));
}

function isOurs(pair: string): boolean {
  return /^(qstash_token(=|$)|upstash-)/i.test(pair);
}
