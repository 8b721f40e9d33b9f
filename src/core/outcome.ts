import { utf8Length } from "../model/bytes.ts";
import type { Core } from "./core.ts";

/** The largest outcome that is kept with a message, in bytes of JSON. */
export const MAX_OUTCOME_BYTES = 4_096;

/** The effect has happened by now: an outcome that cannot be kept is left out, and is no reason to fail. */
export function encodeOutcome(core: Core, value: unknown): string {
  try {
    const json = JSON.stringify(value ?? null) ?? "null";
    if (utf8Length(json) <= MAX_OUTCOME_BYTES) return json;
    throw new RangeError(
      `Expected an outcome of at most ${MAX_OUTCOME_BYTES} bytes of JSON, found more; it is not kept.`,
    );
  } catch (error) {
    core.emit({ type: "background", error });
    return "null";
  }
}
