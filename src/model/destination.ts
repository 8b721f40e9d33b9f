import type { ConfigurationProblem } from "../errors.ts";

/** Tells whether a URL points at this machine. */
export function isLoopback(url: URL): boolean {
  return url.hostname === "localhost" || url.hostname === "[::1]" || /^127(\.\d{1,3}){3}$/.test(url.hostname);
}

/** A destination that is no URL: a transport's own channel, and who is to be handed what comes out of it. */
export interface ChannelAddress {
  /** Names the kind of transport, as in `queue:`. */
  readonly scheme: string;
  /** The queue, as the configuration of the producer calls it. */
  readonly channel: string;
  /** The subscriber's name, which is its name in the inbox too. */
  readonly subscriber: string;
}

const ADDRESS =
  /^(?!https?:)([a-z][a-z0-9-]{0,31}):([A-Za-z0-9][A-Za-z0-9_-]{0,62})\/([A-Za-z0-9][A-Za-z0-9_.-]{0,127})$/;
const SUBSCRIBER = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

/** The parts of a destination of the form `scheme:channel/subscriber`; `undefined` for a URL, and for what is neither. */
export function addressOf(destination: string): ChannelAddress | undefined {
  const [, scheme, channel, subscriber] = ADDRESS.exec(destination) ?? [];
  return scheme === undefined ? undefined : { scheme, channel: channel!, subscriber: subscriber! };
}

/** Tells whether a text may name a subscriber in a destination. */
export function isSubscriberName(text: string): boolean {
  return SUBSCRIBER.test(text);
}

const PRIVATE_NAME = /(^|\.)(localhost|local|internal|localdomain|home\.arpa)$/;

/** A name that only means something on its own network. A dot at the end says no more than that the name is whole. */
function isPrivateName(hostname: string): boolean {
  const name = hostname.endsWith(".") ? hostname.slice(0, -1) : hostname;
  return PRIVATE_NAME.test(name) || !name.includes(".");
}

/**
 * Resolves a configured destination to the absolute URL it stands for, or says what is wrong with it.
 *
 * A path is taken relative to `publicUrl`. Anything else must be https to a public host name, without credentials,
 * fragment or dot segments (the transport's client joins the URL into a request path, so that `..` would reach another
 * endpoint with our token). In dev mode http and loopback hosts are allowed too. What begins with the scheme of a
 * transport's channels stands for itself, and must name one of them.
 */
export function resolveDestination(
  destination: string,
  options: {
    readonly publicUrl: string | undefined;
    readonly dev: boolean;
    readonly path: string;
    /** The channels that transports have, by their scheme. */
    readonly channels?: Readonly<Record<string, readonly string[]>>;
  },
): { readonly url: string } | { readonly problem: ConfigurationProblem } {
  const refuse = (expected: string, remedy: string) => ({
    problem: { path: options.path, expected, found: JSON.stringify(destination.slice(0, 200)), remedy },
  });
  const scheme = destination.slice(0, Math.max(0, destination.indexOf(":")));
  const channels = Object.hasOwn(options.channels ?? {}, scheme) ? options.channels?.[scheme] : undefined;
  if (channels !== undefined) {
    const channel = addressOf(destination)?.channel;
    if (channel !== undefined && channels.includes(channel)) return { url: destination };
    const known = channels.map((name) => `"${scheme}:${name}/…"`).join(", ");
    return refuse(
      `"${scheme}:", the name of a channel and that of a subscriber`,
      channels.length === 0 ? "Give the transport a channel." : `Write one of ${known}, with the subscriber's name.`,
    );
  }
  if (/[\s\\#]/.test(destination) || hasControl(destination)) {
    return refuse("a URL without blanks, backslashes or a fragment", "Percent-encode them, or leave the fragment out.");
  }
  if (/(^|\/)(\.|%2e){1,2}(\/|$)/i.test(destination.split("?")[0]!)) {
    return refuse("a URL without dot segments", "Write the path out.");
  }
  if (destination.startsWith("/") && !destination.startsWith("//")) {
    return options.publicUrl === undefined
      ? refuse(
          "an absolute URL, as there is no publicUrl to resolve a path against",
          "Set publicUrl, or write the whole URL.",
        )
      : { url: joinUrl(options.publicUrl, destination) };
  }
  const url = parseUrl(destination);
  if (url === undefined)
    return refuse('a path such as "/consumers/receipt" or an absolute https URL', "Write one of these.");
  if (url.username !== "" || url.password !== "") {
    return refuse("a URL without credentials", "Verify the signature at the consumer instead.");
  }
  if (options.dev && isLoopback(url)) return { url: url.href };
  if (url.protocol !== "https:") return refuse("an https URL", "Serve the consumer over https.");
  if (url.port !== "") return refuse("the default https port", "Serve the consumer on port 443.");
  if (isAddress(url.hostname) || isPrivateName(url.hostname)) {
    return refuse("a public host name", "The transport calls it from outside; loopback is for dev mode only.");
  }
  return { url: url.href };
}

/** Tells whether a text is an absolute path as a URL has it: no query, no dot segments, nothing to encode. */
export function isPath(text: string): boolean {
  return text.startsWith("/") && new URL(text, "https://host.invalid").pathname === text;
}

/** Appends a path to a base URL that may itself have a path. */
export function joinUrl(base: string, path: string): string {
  let end = base.length;
  while (base[end - 1] === "/") end--;
  return new URL(base.slice(0, end) + path).href;
}

/** A URL, or `undefined` where the text is not one. */
export function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}

/** The URL parser has turned decimal, octal and hexadecimal forms into dotted quads by now. */
function isAddress(hostname: string): boolean {
  return hostname.startsWith("[") || /^\d{1,3}(\.\d{1,3}){3}$/.test(hostname);
}

function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) < 0x20 || text.charCodeAt(i) === 0x7f) return true;
  return false;
}
