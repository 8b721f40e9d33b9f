import type { SortedSet } from "./sorted-set.ts";

/** What a key can hold; `type` is what the command TYPE answers. */
export type RedisValue =
  | { readonly type: "string"; readonly bytes: string }
  | { readonly type: "hash"; readonly fields: Map<string, string> }
  | { readonly type: "set"; readonly members: Set<string> }
  | { readonly type: "list"; readonly items: string[] }
  | { readonly type: "zset"; readonly members: SortedSet };

export type ValueType = RedisValue["type"];

/** The value of one type. */
export type ValueOf<Type extends ValueType> = Extract<RedisValue, { readonly type: Type }>;

/** Copies a value so that changing one copy leaves the other alone. */
export function cloneValue(value: RedisValue): RedisValue {
  switch (value.type) {
    case "string":
      return value;
    case "hash":
      return { type: "hash", fields: new Map(value.fields) };
    case "set":
      return { type: "set", members: new Set(value.members) };
    case "list":
      return { type: "list", items: [...value.items] };
    case "zset":
      return { type: "zset", members: value.members.clone() };
  }
}

/** Redis keeps no empty collections: a key whose last element goes is deleted. */
export function isEmptyValue(value: RedisValue): boolean {
  switch (value.type) {
    case "string":
      return false;
    case "hash":
      return value.fields.size === 0;
    case "set":
    case "zset":
      return value.members.size === 0;
    case "list":
      return value.items.length === 0;
  }
}
