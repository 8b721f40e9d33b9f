/** Time, as the core sees it. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Resolves after `millis`, or as soon as `signal` aborts; never rejects. */
  sleep(millis: number, signal?: AbortSignal): Promise<void>;
}
