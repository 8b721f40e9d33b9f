import { backOff } from "../core/back-off.ts";
import type { BackOff } from "../core/back-off.ts";
import type { Core } from "../core/core.ts";
import { ConfigurationError } from "../errors.ts";
import { readBody } from "../middleware/signed-request.ts";
import type { DirectCalls } from "../ports/direct-calls.ts";
import { signWebhook } from "./webhook-signature.ts";

/** A call of another service's participant. */
export interface DirectCall {
  /** Where it goes. */
  readonly url: string;
  /** The same for every attempt: whoever is called does it once. */
  readonly id: string;
  /** JSON. */
  readonly body: string;
  /** Besides those of the signature. */
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMillis: number;
  /** How often it is made again where there is no answer. */
  readonly retries: number;
  /** Ends it. */
  readonly ended: AbortSignal;
}

/** What came of a call. */
export type DirectAnswer =
  /** It was done, perhaps before. */
  | { readonly status: "done"; readonly result: unknown }
  /** The other side's own decision. */
  | { readonly status: "refused"; readonly reason: string }
  /** Not known; in words, with what is to be done about it where that is known. */
  | {
      readonly status: "unknown";
      readonly found: string;
      readonly hint?: string;
      readonly cause?: unknown;
      /** When the other side wants to be asked again. */
      readonly afterMillis?: number;
    };

type Attempt = DirectAnswer & { readonly again?: boolean };

/** Between two attempts; somebody waits for the answer. */
const CALL_BACK_OFF: BackOff = { firstMillis: 200, factor: 3, mostMillis: 2_000 };
/** An answer is a small piece of JSON. */
const MAX_ANSWER_BYTES = 65_536;

/** The keys and the `fetch` of a service, where it has them. */
export function callsOf({ calls }: Pick<Core, "calls">): DirectCalls {
  if (calls !== undefined) return calls;
  throw new ConfigurationError([
    {
      path: "calls",
      expected: "how participants are called",
      found: "nothing",
      remedy: "Pass directCalls({ secrets: […] }), with the secret that the other services have.",
    },
  ]);
}

/** Makes a signed call, and makes it again where there is no answer. Never rejects. */
export async function callDirectly(core: Core, call: DirectCall): Promise<DirectAnswer> {
  const { retries, ended } = call;
  for (let attempt = 0; ; attempt++) {
    const answer = await attemptCall(core, call);
    if (answer.again !== true || attempt >= retries || ended.aborted) return answer;
    const asked = answer.status === "unknown" ? answer.afterMillis : undefined;
    const waitMillis = Math.max(asked ?? 0, backOff(CALL_BACK_OFF, attempt, core.crypto));
    await core.clock.sleep(Math.min(waitMillis, CALL_BACK_OFF.mostMillis), ended);
    if (ended.aborted) return answer;
  }
}

async function attemptCall(core: Core, call: DirectCall): Promise<Attempt> {
  const { keys, fetch } = callsOf(core);
  const { url, id, body, timeoutMillis, ended } = call;
  const answered = new AbortController();
  const cut = new AbortController();
  const end = (): void => cut.abort("ended");
  ended.addEventListener("abort", end);
  if (ended.aborted) end();
  const late = core.clock.sleep(timeoutMillis, answered.signal).then((): Attempt => {
    cut.abort("late");
    return { status: "unknown", found: `no answer within ${timeoutMillis} ms`, again: true };
  });
  const gone = new Promise<Attempt>((resolve) => {
    const tell = (): void => resolve({ status: "unknown", found: "the transaction ended before its answer" });
    if (ended.aborted) tell();
    ended.addEventListener("abort", tell, { once: true });
  });
  const asked = (async (): Promise<Attempt> => {
    try {
      const signature = await signWebhook(core.crypto, keys[0]!, { id, at: core.clock.now(), body });
      const response = await fetch(url, {
        method: "POST",
        headers: { ...call.headers, "content-type": "application/json", ...signature },
        body,
        redirect: "manual",
        signal: cut.signal,
      });
      return await answerOf(response);
    } catch (cause) {
      return { status: "unknown", found: "no answer", cause, again: true };
    }
  })();
  try {
    return await Promise.race([asked, late, gone]);
  } finally {
    answered.abort("answered");
    ended.removeEventListener("abort", end);
  }
}

async function answerOf(response: Response): Promise<Attempt> {
  const { status } = response;
  const bytes = await readBody(response.body, MAX_ANSWER_BYTES);
  const body = parsed(bytes);
  if (status === 200 && body?.status === "done") return { status: "done", result: body.result };
  if (status === 409 && typeof body?.error?.reason === "string")
    return { status: "refused", reason: body.error.reason };
  const found = `status ${status}`;
  if (status === 401)
    return { status: "unknown", found, hint: "Give both services the same secret, and their clocks the time." };
  const again = status >= 500 || status === 429 || status === 408;
  if (!again) return { status: "unknown", found, hint: "Look whether its route leads to the participant." };
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return { status: "unknown", found, again, ...(seconds >= 0 ? { afterMillis: seconds * 1_000 } : {}) };
}

interface AnswerBody {
  readonly status?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly reason?: unknown };
}

function parsed(bytes: Uint8Array | undefined): AnswerBody | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
