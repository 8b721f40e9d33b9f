import { randomId } from "./ids.ts";

/** The pair of keys that receivers accept: QStash signs with `current`; `next` becomes current when they are rotated. */
export interface SigningKeys {
  /** Signs now. */
  readonly current: string;
  /** Signs after the next rotation. */
  readonly next: string;
}

export interface KeyRing {
  get(): SigningKeys;
  /** The next key becomes the current one, and a new next key is made. */
  rotate(): SigningKeys;
}

/** Makes up the keys that are not given. */
export function createKeyRing(initial: { readonly [key in keyof SigningKeys]: string | undefined }): KeyRing {
  let keys: SigningKeys = { current: initial.current ?? randomId("sig"), next: initial.next ?? randomId("sig") };
  return {
    get: () => keys,
    rotate: () => (keys = { current: keys.next, next: randomId("sig") }),
  };
}
