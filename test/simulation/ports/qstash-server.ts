import { keysAfter } from "./qstash-signer.ts";
import type { SigningKeys } from "./qstash-signer.ts";

/** A message that QStash has taken. */
export interface QStashMessage {
  readonly id: string;
  readonly url: string;
  readonly body: string;
  /** What the destination gets besides QStash's own headers. */
  readonly headers: Readonly<Record<string, string>>;
  readonly labels: readonly string[];
  readonly retries: number;
  readonly failureCallback: string | undefined;
  /** In milliseconds since 1970. */
  readonly notBefore: number;
  /** Attempts that have ended. */
  tried: number;
  state: "active" | "delivered" | "failed";
}

/** An entry of the dead letters. */
export interface QStashLetter {
  readonly dlqId: string;
  readonly message: QStashMessage;
  readonly status: number;
  readonly response: string;
}

/** How QStash is in a run. */
export interface QStashOptions {
  /** How long an earlier copy of a message is recognised. */
  readonly windowMillis: number;
  readonly now: () => number;
  /** A message was taken, which is to be delivered. */
  readonly taken: (message: QStashMessage) => void;
}

/** QStash: what it holds, and what it says about it. */
export interface QStashServer {
  /** Takes a message, or recognises it. */
  accept(url: string, headers: Readonly<Record<string, string>>, body: string): object;
  /** Gives a message up. */
  bury(message: QStashMessage, status: number, response: string): QStashLetter;
  readonly letters: Map<string, QStashLetter>;
  readonly messages: QStashMessage[];
  /** What it signs with. */
  keys: SigningKeys;
  /** How often its keys were rotated. */
  rotations: number;
  rotate(): void;
  /** How many messages and callbacks are under way. */
  active(): number;
}

/** Starts it. */
export function qstashServer({ windowMillis, now, taken }: QStashOptions): QStashServer {
  const recent = new Map<string, { readonly id: string; readonly at: number }>();
  const server: QStashServer = {
    letters: new Map(),
    messages: [],
    keys: keysAfter(0),
    rotations: 0,
    rotate() {
      server.keys = keysAfter(++server.rotations);
    },
    active: () => server.messages.reduce((sum, { state }) => sum + (state === "active" ? 1 : 0), 0),

    accept(url, headers, body) {
      const deduplicationId = headers["Upstash-Deduplication-Id"];
      const earlier = deduplicationId === undefined ? undefined : recent.get(deduplicationId);
      if (earlier !== undefined && now() - earlier.at < windowMillis)
        return { messageId: earlier.id, deduplicated: true };
      const message = messageOf(`msg_${server.messages.length}`, url, headers, body);
      if (deduplicationId !== undefined) recent.set(deduplicationId, { id: message.id, at: now() });
      server.messages.push(message);
      taken(message);
      return { messageId: message.id };
    },

    bury(message, status, response) {
      message.state = "failed";
      const letter = { dlqId: `dlq_${message.id}`, message, status, response };
      server.letters.set(letter.dlqId, letter);
      return letter;
    },
  };
  return server;
}

const FORWARD = "Upstash-Forward-";

function messageOf(id: string, url: string, all: Readonly<Record<string, string>>, body: string): QStashMessage {
  const headers: Record<string, string> = {};
  if (all["Content-Type"] !== undefined) headers["Content-Type"] = all["Content-Type"];
  for (const [name, value] of Object.entries(all))
    if (name.startsWith(FORWARD)) headers[name.slice(FORWARD.length)] = value;
  return {
    id,
    url,
    body,
    headers,
    labels: (all["Upstash-Label"] ?? "").split(","),
    retries: Number(all["Upstash-Retries"] ?? 3),
    failureCallback: all["Upstash-Failure-Callback"],
    notBefore: Number(all["Upstash-Not-Before"] ?? 0) * 1_000,
    tried: 0,
    state: "active",
  };
}
