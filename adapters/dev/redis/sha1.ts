import { createHash } from "node:crypto";

/** Returns the SHA-1 of a byte string in hexadecimal, the name under which Redis keeps a script. */
export function sha1Hex(bytes: string): string {
  return createHash("sha1").update(bytes, "latin1").digest("hex");
}
