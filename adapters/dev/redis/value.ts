import type { SortedSet } from "./sorted-set.ts";
import { cloneStream, type Stream } from "./stream.ts";

/** What a key can hold; `type` is what the command TYPE answers. */
export type RedisValue =
  | { readonly type: "string"; readonly bytes: string }
  | { readonly type: "hash"; readonly fields: Map<string, string> }
  | { readonly type: "set"; readonly members: Set<string> }
  | { readonly type: "list"; readonly items: string[] }
  | { readonly type: "zset"; readonly members: SortedSet }
  | { readonly type: "stream"; readonly stream: Stream };

export type ValueType = RedisValue["type"];

/** The value of one type. */
export type ValueOf<Type extends ValueType> = Extract<RedisValue, { readonly type: Type }>;

/** Copies a value so that changing one copy leaves the other alone. */
export function cloneValue(value: RedisValue): RedisValue {
  if (value.type === "string") return value;
  if (value.type === "hash") return { type: "hash", fields: new Map(value.fields) };
  if (value.type === "set") return { type: "set", members: new Set(value.members) };
  if (value.type === "list") return { type: "list", items: [...value.items] };
  if (value.type === "stream") return { type: "stream", stream: cloneStream(value.stream) };
  return { type: value.type, members: value.members.clone() };
}

/** Redis keeps no empty collections: a key whose last element goes is deleted. A stream stays, for its groups. */
export function isEmptyValue(value: RedisValue): boolean {
  if (value.type === "string" || value.type === "stream") return false;
  if (value.type === "list") return value.items.length === 0;
  return (value.type === "hash" ? value.fields : value.members).size === 0;
}
