import { toText } from "../bytes.ts";
import { isRedisArray, isRedisError, isRedisStatus, type RedisReply } from "../reply.ts";

/** A reply as JSON. */
export type JsonReply = string | number | null | readonly JsonReply[];

/** The answer to one command. */
export type JsonAnswer = { readonly result: JsonReply } | { readonly error: string };

/** Turns a reply into the answer to one command; errors are never encoded. */
export function toAnswer(reply: RedisReply, encodesBase64: boolean): JsonAnswer {
  if (isRedisError(reply)) return { error: toText(reply.error) };
  return { result: encodesBase64 ? toBase64(reply) : toPlain(reply) };
}

function toPlain(reply: RedisReply): JsonReply {
  if (typeof reply === "string") return toText(reply);
  if (typeof reply === "number" || reply === null) return reply;
  if (isRedisArray(reply)) return reply.map(toPlain);
  return toText(isRedisStatus(reply) ? reply.status : reply.error);
}

/** Encodes every string, so that values that are no UTF-8 survive; only the status OK stays as it is. */
function toBase64(reply: RedisReply): JsonReply {
  if (typeof reply === "string") return btoa(reply);
  if (typeof reply === "number" || reply === null) return reply;
  if (isRedisArray(reply)) return reply.map(toBase64);
  if (isRedisStatus(reply)) return reply.status === "OK" ? "OK" : btoa(reply.status);
  return btoa(reply.error);
}
