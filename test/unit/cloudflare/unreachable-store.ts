import type { LogStore } from "aftercommit";
import { intercepted } from "../../support/world.ts";

/** A store that can be cut off, all of it or what `when` names. */
export function unreachableStore(
  store: LogStore,
  when: (name: string) => boolean = () => true,
): { readonly store: LogStore; cut(off: boolean): void } {
  let cutOff = false;
  return {
    store: intercepted(store, (call, name) =>
      cutOff && when(name) ? Promise.reject(new Error(`${name}: connection refused`)) : call(),
    ),
    cut: (off) => void (cutOff = off),
  };
}
