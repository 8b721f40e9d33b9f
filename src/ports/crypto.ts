/** A value, or the promise of one: implementations may be synchronous (the simulator's are). */
export type MaybePromise<T> = T | Promise<T>;

/** The cryptography that the core needs; byte arrays in, byte arrays out. */
export interface Crypto {
  /** SHA-256. */
  digest(bytes: Uint8Array): MaybePromise<Uint8Array>;
  /** Tells whether `signature` is the HMAC-SHA-256 of `bytes` under `key`, in constant time; `false` for any wrong length. */
  verifyHmac(key: Uint8Array, signature: Uint8Array, bytes: Uint8Array): MaybePromise<boolean>;
  /** Random bytes from a cryptographic source. */
  random(length: number): Uint8Array;
}
