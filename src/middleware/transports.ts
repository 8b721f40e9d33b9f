import type { ConfigurationProblem } from "../errors.ts";
import type { DispatchResult, Transport } from "../ports/transport.ts";

/** Tells whether a transport calls URLs, and does not only have channels. */
export function callsUrls({ channels, urls = channels === undefined }: Transport): boolean {
  return urls;
}

/**
 * Several transports as one: each carries the destinations of its own channels, and the one that calls URLs all others.
 * What that one offers besides (wake-up calls, an event log, a receiver) is what the whole offers.
 *
 * @example
 * ```ts
 * transport: transports(qstash({ client }), cloudflareQueues({ orders: env.ORDERS })),
 * routes: { [orderPaid.name]: ["queue:orders/receipt", "https://stock.example.com/consumers/stock"] },
 * ```
 */
export function transports(...parts: readonly Transport[]): Transport {
  const http = parts.find(callsUrls);
  const carrierOf = (destination: string): Transport | undefined => {
    const scheme = destination.slice(0, destination.indexOf(":"));
    return parts.find(({ channels = {} }) => Object.hasOwn(channels, scheme)) ?? http;
  };
  return {
    async publish(dispatches) {
      const results: DispatchResult[] = [];
      const carriers = dispatches.map(({ record }) => carrierOf(record.destination));
      const publishBy = async (carrier: Transport | undefined): Promise<void> => {
        const places = [...carriers.keys()].filter((i) => carriers[i] === carrier);
        const own = places.map((i) => dispatches[i]!);
        for (const [place, result] of (await publishAll(carrier, own)).entries()) results[places[place]!] = result;
      };
      await Promise.all([...new Set(carriers)].map(publishBy));
      return results;
    },
    channels: Object.assign({}, ...parts.map(({ channels }) => channels)) as Record<string, readonly string[]>,
    lossy: parts.flatMap(({ lossy = [] }) => lossy),
    urls: http !== undefined,
    refusal: (record) => carrierOf(record.destination)?.refusal?.(record),
    problems: (context) => [...rivalries(parts), ...parts.flatMap((transport) => transport.problems?.(context) ?? [])],
    ...(http?.wake === undefined ? {} : { wake: (call) => http.wake!(call) }),
    ...(http?.reports === undefined ? {} : { reports: http.reports }),
    ...(http?.receiver === undefined ? {} : { receiver: http.receiver }),
  };
}

/** One transport that is out of reach keeps nothing from the others. */
async function publishAll(
  carrier: Transport | undefined,
  dispatches: Parameters<Transport["publish"]>[0],
): Promise<readonly DispatchResult[]> {
  const retry = (reason: string): readonly DispatchResult[] => dispatches.map(() => ({ status: "retry", reason }));
  if (carrier === undefined) return retry("no transport of this service carries that destination");
  try {
    return await carrier.publish(dispatches);
  } catch (error) {
    return retry(error instanceof Error ? error.message : "the transport failed");
  }
}

/** A destination has one transport. */
function rivalries(parts: readonly Transport[]): readonly ConfigurationProblem[] {
  const claimed = parts.flatMap((part) => [...Object.keys(part.channels ?? {}), ...(callsUrls(part) ? ["https"] : [])]);
  const twice = claimed.filter((scheme, i) => claimed.indexOf(scheme) < i);
  return [...new Set(twice)].map((scheme) => ({
    path: "transport",
    expected: `one transport for "${scheme}:"`,
    found: "several",
    remedy: "Keep one of them; it may have several channels.",
  }));
}
