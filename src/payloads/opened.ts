import type { OpenedPayload } from "../ports/payload-codec.ts";

/** A text on its way back to data, or why it cannot be had. */
export type Opened =
  | { readonly status: "text"; readonly text: string }
  | Exclude<OpenedPayload, { readonly status: "opened" }>;
