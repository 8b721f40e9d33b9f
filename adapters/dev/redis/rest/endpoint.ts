import type { RedisBackend } from "../backend.ts";
import { isWriteCommand } from "../commands/table.ts";
import { isRedisArray, isRedisError, type RedisReply } from "../reply.ts";
import { permissionOf } from "./authorization.ts";
import { answerUnavailable } from "./availability.ts";
import { toAnswer } from "./reply.ts";
import { BadRequestError, readRestCall, type RestCall } from "./request.ts";

/** What an endpoint serves, and to whom. */
export interface RedisRestOptions {
  /** Executes the commands. */
  readonly backend: RedisBackend;
  /** Permits everything. */
  readonly token: string;
  /** Permits commands that only read. @default there is none */
  readonly readOnlyToken?: string;
}

/** Answers one request. */
export type RedisRestHandler = (request: Request) => Promise<Response>;

/**
 * Creates an endpoint that speaks the REST protocol of Upstash Redis, for its SDK to talk to unmodified.
 *
 * - `POST /` with a JSON array, or the command in the path: `/set/key/value?EX=100`, where a body is the last word
 *   before the query; `POST /pipeline` and, atomically, `POST /multi-exec`.
 * - `Upstash-Encoding: base64` encodes all strings of results.
 * - Every response carries `upstash-sync-token`, which changes with every write.
 *
 * Errors are JSON, `{"error": "ERR …"}`: 400 for a command or request that failed, 401 without a valid token, 405 for
 * other methods. A pipeline answers 200 with an error in place of a result. The promise rejects only if the backend
 * does.
 *
 * It checks neither `Host` nor `Origin`: whatever serves it must.
 */
export function createRedisRest({ backend, ...tokens }: RedisRestOptions): RedisRestHandler {
  const syncToken = createSyncToken();

  const execute = async (args: readonly string[], readOnly: boolean): Promise<RedisReply> => {
    const name = args[0]?.toUpperCase() ?? "";
    const refusal = refuse(args, readOnly) ?? answerUnavailable(args);
    if (refusal !== undefined) return refusal;
    const reply = await backend.execute(args);
    if (isWriteCommand(name) && !isRedisError(reply)) syncToken.advance();
    return reply;
  };
  const transact = async (commands: readonly (readonly string[])[], readOnly: boolean): Promise<RedisReply> => {
    for (const args of commands) {
      const refusal = refuse(args, readOnly) ?? answerUnavailable(args);
      if (refusal !== undefined && isRedisError(refusal)) return discard(refusal.error);
    }
    const reply = await backend.transaction(commands);
    if (commands.some(([name = ""]) => isWriteCommand(name.toUpperCase()))) syncToken.advance();
    return reply;
  };
  const answer = async (call: RestCall, readOnly: boolean, encodesBase64: boolean): Promise<Response> => {
    if (call.kind === "pipeline") {
      const replies = await Promise.all(call.commands.map((args) => execute(args, readOnly)));
      return Response.json(replies.map((reply) => toAnswer(reply, encodesBase64)));
    }
    if (call.kind === "command") {
      const reply = await execute(call.args, readOnly);
      return Response.json(toAnswer(reply, encodesBase64), { status: isRedisError(reply) ? 400 : 200 });
    }
    const reply = await transact(call.commands, readOnly);
    return isRedisArray(reply)
      ? Response.json(reply.map((each) => toAnswer(each, encodesBase64)))
      : Response.json(toAnswer(reply, encodesBase64), { status: 400 });
  };

  return async function redisRest(request) {
    const permission = permissionOf(request, tokens);
    if (permission === "none") return refusal(401, "WRONGPASS invalid or missing auth token");
    try {
      const format = request.headers.get("upstash-response-format");
      if (format !== null) throw new BadRequestError(`ERR unsupported response format: ${format}`);
      const encodesBase64 = request.headers.get("upstash-encoding")?.toLowerCase() === "base64";
      const response = await answer(await readRestCall(request), permission === "read", encodesBase64);
      response.headers.set("upstash-sync-token", syncToken.current());
      return request.method === "HEAD" ? new Response(null, response) : response;
    } catch (error) {
      if (error instanceof BadRequestError) return refusal(error.status, error.message);
      throw error;
    }
  };
}

/** A token that differs between any two writes, and between any two endpoints. */
function createSyncToken(): { current(): string; advance(): void } {
  const endpoint = crypto.randomUUID();
  let writes = 0;
  return { current: () => `${endpoint}:${writes}`, advance: () => void writes++ };
}

function refuse([word = ""]: readonly string[], readOnly: boolean): RedisReply | undefined {
  return readOnly && isWriteCommand(word.toUpperCase())
    ? { error: `NOPERM this user has no permissions to run the '${word.toLowerCase()}' command` }
    : undefined;
}

function discard(reason: string): RedisReply {
  return { error: `EXECABORT Transaction discarded because of: ${reason}` };
}

function refusal(status: number, error: string): Response {
  return Response.json({ error }, { status });
}
