import { addressOf } from "../../src/model/destination.ts";
import type { ChannelAddress } from "../../src/model/destination.ts";

/** The scheme of destinations that are streams. */
export const SCHEME = "stream";

/** The namespace of streams where none is given: the log's own. */
export const DEFAULT_NAMESPACE = "aftercommit";

/** The one group of a stream: its workers. A stream has one subscriber, so that it needs no other. */
export const GROUP = "workers";

const NAMESPACE = /^[A-Za-z0-9_.-]{1,64}$/;

/** The keys of what waits for one subscriber; they share one hash tag, so that a script may touch them all on a Cluster. */
export interface StreamKeys {
  /** A stream: what is to be handled now, and what workers have in their hands. */
  readonly stream: string;
  /** A hash by deduplication id: where each outstanding delivery lies; the text of one that waits for its time. */
  readonly places: string;
  /** A sorted set of deduplication ids: what waits for its time, by when that is. */
  readonly later: string;
}

/** Lays out the keys of a subscriber. No name of theirs holds a colon. */
export function streamKeys(namespace: string, { channel, subscriber }: ChannelAddress): StreamKeys {
  const tag = `{${namespace}:stream:${channel}}:${subscriber}`;
  return { stream: tag, places: `${tag}:places`, later: `${tag}:later` };
}

/** The parts of a destination that is a stream; `undefined` for any other. */
export function streamAddress(destination: string): ChannelAddress | undefined {
  const address = addressOf(destination);
  return address?.scheme === SCHEME ? address : undefined;
}

/** Whether a text may be a namespace. */
export function isNamespace(text: string): boolean {
  return NAMESPACE.test(text);
}
