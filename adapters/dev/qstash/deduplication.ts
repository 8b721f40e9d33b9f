/** Remembers which message took a deduplication id, for a window of time. */
export interface Deduplication {
  /** The id of the message that holds `key`: `messageId` itself if the key was free. */
  claim(key: string, messageId: string): string;
}

export function createDeduplication(now: () => number, windowMillis: number): Deduplication {
  // In the order of insertion, which is the order of expiry since the window is the same for all.
  const claims = new Map<string, { readonly messageId: string; readonly until: number }>();
  return {
    claim(key, messageId) {
      for (const [oldest, { until }] of claims) {
        if (until > now()) break;
        claims.delete(oldest);
      }
      const holder = claims.get(key);
      if (holder !== undefined) return holder.messageId;
      claims.set(key, { messageId, until: now() + windowMillis });
      return messageId;
    },
  };
}
