import { wrongType } from "./reply.ts";
import { cloneValue, isEmptyValue, type RedisValue, type ValueOf, type ValueType } from "./value.ts";

/** A copy of all keys with their expiry times. */
export interface RedisSnapshot {
  /** When it was taken, in milliseconds since the epoch on the engine's clock. */
  readonly takenAtMillis: number;
}

/**
 * Keys with values and expiry times, on an injected clock.
 *
 * A key is gone for every reader as soon as its time has passed; its memory is freed on that occasion, or within a
 * second of the clock by {@link Keyspace.tick}.
 */
export interface Keyspace {
  /** Reads the clock, once for the whole command or script that follows, and frees what has expired. */
  tick(): void;
  /** Milliseconds since the epoch, as of the last tick. */
  nowMillis(): number;
  /** Milliseconds since the epoch, right now, with a fraction. */
  clockMillis(): number;
  get(key: string): RedisValue | undefined;
  /** Reads a key of one type; throws WRONGTYPE if it holds another. */
  read<Type extends ValueType>(key: string, type: Type): ValueOf<Type> | undefined;
  /** As {@link Keyspace.read}, but puts what `create` returns where there is none. */
  readOrCreate<Type extends ValueType>(key: string, type: Type, create: () => ValueOf<Type>): ValueOf<Type>;
  /** Replaces the value and keeps the expiry time. */
  put(key: string, value: RedisValue): void;
  delete(key: string): boolean;
  /** Deletes the key if its collection has become empty. */
  dropIfEmpty(key: string): void;
  expiresAtMillis(key: string): number | undefined;
  /** Sets the expiry time of an existing key; `undefined` makes it persistent. */
  expireAt(key: string, atMillis: number | undefined): void;
  size(): number;
  keys(): string[];
  /** Up to `count` keys that were created after the one with serial `after`, and the serial to go on from; 0 is the end. */
  scan(after: number, count: number): { readonly keys: readonly string[]; readonly next: number };
  clear(): void;
  snapshot(): RedisSnapshot;
  restore(snapshot: RedisSnapshot): void;
}

const PURGE_INTERVAL_MILLIS = 1000;

interface Entry {
  value: RedisValue;
  expiresAtMillis: number | undefined;
  /** Rises with every key created; the map iterates in this order. */
  readonly serial: number;
}

/** What the snapshots hold; any keyspace may restore them. */
const snapshots = new WeakMap<RedisSnapshot, ReadonlyMap<string, Omit<Entry, "serial">>>();

export function createKeyspace(clockMillis: () => number): Keyspace {
  const entries = new Map<string, Entry>();
  const volatile = new Set<string>();
  let nowMillis = Math.floor(clockMillis());
  let purgedAtMillis = nowMillis;
  let serial = 0;

  const remove = (key: string): boolean => {
    volatile.delete(key);
    return entries.delete(key);
  };
  const hasExpired = (entry: Entry): boolean =>
    entry.expiresAtMillis !== undefined && nowMillis > entry.expiresAtMillis;
  const find = (key: string): Entry | undefined => {
    const entry = entries.get(key);
    if (entry === undefined || !hasExpired(entry)) return entry;
    remove(key);
    return undefined;
  };
  const purge = (): void => {
    for (const key of volatile) find(key);
    purgedAtMillis = nowMillis;
  };

  const keyspace: Keyspace = {
    tick() {
      nowMillis = Math.floor(clockMillis());
      if (Math.abs(nowMillis - purgedAtMillis) >= PURGE_INTERVAL_MILLIS) purge();
    },
    nowMillis: () => nowMillis,
    clockMillis,
    get: (key) => find(key)?.value,
    read<Type extends ValueType>(key: string, type: Type) {
      const value = find(key)?.value;
      if (value === undefined) return undefined;
      if (value.type !== type) throw wrongType();
      return value as ValueOf<Type>;
    },
    readOrCreate(key, type, create) {
      const present = keyspace.read(key, type);
      if (present !== undefined) return present;
      const created = create();
      keyspace.put(key, created);
      return created;
    },
    put(key, value) {
      const entry = find(key);
      if (entry === undefined) entries.set(key, { value, expiresAtMillis: undefined, serial: ++serial });
      else entry.value = value;
    },
    delete: (key) => find(key) !== undefined && remove(key),
    dropIfEmpty(key) {
      const entry = find(key);
      if (entry !== undefined && isEmptyValue(entry.value)) remove(key);
    },
    expiresAtMillis: (key) => find(key)?.expiresAtMillis,
    expireAt(key, atMillis) {
      const entry = find(key);
      if (entry === undefined) return;
      entry.expiresAtMillis = atMillis;
      if (atMillis === undefined) volatile.delete(key);
      else volatile.add(key);
    },
    size() {
      purge();
      return entries.size;
    },
    keys() {
      purge();
      return [...entries.keys()];
    },
    scan(after, count) {
      purge();
      const keys: string[] = [];
      let last = 0;
      for (const [key, entry] of entries) {
        if (entry.serial <= after) continue;
        if (keys.length === count) return { keys, next: last };
        keys.push(key);
        last = entry.serial;
      }
      return { keys, next: 0 };
    },
    clear() {
      entries.clear();
      volatile.clear();
    },
    snapshot() {
      purge();
      const copies = new Map<string, Omit<Entry, "serial">>();
      for (const [key, { value, expiresAtMillis }] of entries) {
        copies.set(key, { value: cloneValue(value), expiresAtMillis });
      }
      const snapshot: RedisSnapshot = { takenAtMillis: nowMillis };
      snapshots.set(snapshot, copies);
      return snapshot;
    },
    restore(snapshot) {
      const copies = snapshots.get(snapshot);
      if (copies === undefined) throw new TypeError("expected a snapshot that an engine has taken");
      keyspace.clear();
      for (const [key, { value, expiresAtMillis }] of copies) {
        keyspace.put(key, cloneValue(value));
        keyspace.expireAt(key, expiresAtMillis);
      }
    },
  };
  return keyspace;
}
