import type { World } from "../world.ts";
import type { QStashMessage } from "./qstash-server.ts";
import { headerLists } from "./qstash-client.ts";
import { stepName } from "../steps.ts";
import { signed } from "./qstash-signer.ts";

/** After so long QStash no longer waits for an answer. */
const PATIENCE_MILLIS = 60_000;
/** How often a callback is tried again. */
const CALLBACK_RETRIES = 3;

/** The steps of a consumer that QStash makes. */
const RECEIVES = stepName("receives", "shop", true);
const ANSWERS = stepName("answers", "shop", true);

/** What an attempt came to. */
interface Answer {
  readonly status: number;
  readonly response: string;
  readonly retryAfterMillis?: number | undefined;
  readonly final?: boolean;
}

/** When a message leaves that was just taken; now and then a second copy of it does, too. */
export function schedule(world: World, message: QStashMessage): void {
  const { scheduler, faults } = world;
  const wait = Math.max(0, message.notBefore - scheduler.now);
  const leave = (copy: boolean): void => {
    const [there, back] = faults.latency();
    scheduler.after(wait + there + back, RECEIVES, () => attempt(world, message, copy));
  };
  leave(false);
  if (faults.percent(8)) leave(true);
}

/** Calls the destination once, signed. A copy that is one too many is never tried again. */
function attempt(world: World, message: QStashMessage, copy: boolean): void {
  const { scheduler, faults, qstash } = world;
  const instance = world.reach(message.url);
  const fate = faults.fate("delivery");
  let timer: ReturnType<typeof scheduler.after> | undefined;
  const reset = (): void => end({ status: 502, response: "the connection was reset" });
  let over = false;
  const end = (answer: Answer): void => {
    if (over) return;
    over = true;
    if (timer !== undefined) timer.off = true;
    instance?.process.onDeath.delete(reset);
    if (copy) return;
    scheduler.after(0, ANSWERS, () => judge(world, message, answer));
  };
  if (instance === undefined || fate === "fails") return end({ status: 502, response: "no connection" });
  instance.process.onDeath.add(reset);
  timer = scheduler.after(PATIENCE_MILLIS, "patience", () => end({ status: 504, response: "no answer in time" }));
  const headers = {
    ...message.headers,
    "Upstash-Signature": signed(qstash.keys.current, message.url, message.body, scheduler.now),
    "Upstash-Retried": String(message.tried),
    "Upstash-Message-Id": message.id,
  };
  const call = async (): Promise<void> => {
    if (instance.process.pausedUntil > scheduler.now) await instance.wakes();
    const response = await instance.request(message.url, { method: "POST", headers, body: message.body });
    const answer = await answerOf(response);
    scheduler.note(String(answer.status));
    end(fate === "replyLost" ? { status: 502, response: "the answer was lost" } : answer);
  };
  void call();
}

async function answerOf(response: Response): Promise<Answer> {
  const { status, headers } = response;
  if (response.ok) return { status, response: "" };
  const retryAfter = headers.get("retry-after");
  return {
    status,
    response: await response.text(),
    final: headers.get("upstash-nonretryable-error") === "true",
    retryAfterMillis: retryAfter === null ? undefined : Number(retryAfter) * 1_000,
  };
}

/** Takes in how an attempt ended: delivered, tried again, or given up. */
function judge(world: World, message: QStashMessage, answer: Answer): void {
  const { scheduler, faults, qstash, oracle } = world;
  if (message.state !== "active") return;
  message.tried++;
  if (answer.status >= 200 && answer.status < 300) {
    message.state = "delivered";
    oracle.delivered(message);
    if (faults.percent(5)) scheduler.after(90_000, RECEIVES, () => attempt(world, message, true));
    return;
  }
  if (answer.final !== true && message.tried <= message.retries) {
    const wait = answer.retryAfterMillis ?? Math.min(86_400_000, Math.exp(2.5 * message.tried) * 1_000);
    scheduler.after(wait, RECEIVES, () => attempt(world, message, false));
    return;
  }
  if (message.labels[0] === "callback" || message.labels[0]!.endsWith("-wake")) {
    message.state = "failed";
    return;
  }
  const letter = qstash.bury(message, answer.status, answer.response);
  if (message.failureCallback === undefined) return;
  const report = {
    status: answer.status,
    body: base64(answer.response),
    url: message.url,
    sourceBody: base64(message.body),
    sourceHeader: headerLists(message.headers),
    dlqId: letter.dlqId,
    retried: message.tried - 1,
    maxRetries: message.retries,
  };
  const headers = { "Upstash-Label": "callback", "Upstash-Retries": String(CALLBACK_RETRIES) };
  qstash.accept(message.failureCallback, headers, JSON.stringify(report));
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
