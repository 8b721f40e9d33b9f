import type { Level, Verdict } from "../model/states.ts";

/** What happens, as it happens. Never bodies, tokens or keys. */
export type Event =
  | { readonly type: "prepared"; readonly transactionId: string; readonly deliveries: number; readonly level: Level }
  | {
      readonly type: "decided";
      readonly transactionId: string;
      readonly verdict: Verdict;
      readonly by: "request" | "check" | "person" | "consumer" | "sweep";
    }
  | { readonly type: "requestFailed"; readonly transactionId: string; readonly error: unknown }
  | { readonly type: "undecided"; readonly transactionId: string; readonly error: unknown }
  | { readonly type: "outcomeUnknown"; readonly transactionId: string; readonly error: unknown }
  | { readonly type: "unprotected"; readonly transactionId: string; readonly deliveries: number }
  | { readonly type: "lost"; readonly transactionId: string; readonly deliveries: number }
  | { readonly type: "hintFailed"; readonly transactionId: string; readonly error: unknown }
  | { readonly type: "logUnavailable"; readonly error: unknown }
  | { readonly type: "conflict"; readonly transactionId: string; readonly deliveries: number }
  | {
      readonly type: "published";
      readonly key: string;
      readonly transactionId: string;
      readonly topic: string;
      readonly deduplicated: boolean;
    }
  | {
      readonly type: "publishFailed";
      readonly key: string;
      readonly transactionId: string;
      readonly reason: string;
      readonly retryInMillis: number;
    }
  | { readonly type: "revoked"; readonly key: string; readonly transactionId: string }
  | { readonly type: "delivered"; readonly key: string; readonly transactionId: string }
  | { readonly type: "dead"; readonly key: string; readonly transactionId: string; readonly reason: string }
  | { readonly type: "held"; readonly transactionId: string; readonly reason: string }
  | { readonly type: "checkFailed"; readonly transactionId: string; readonly attempt: number; readonly error: unknown }
  | { readonly type: "undecodable"; readonly record: string }
  | {
      readonly type: "swept";
      readonly claimed: number;
      readonly published: number;
      readonly held: number;
      readonly millis: number;
    }
  | { readonly type: "consumed"; readonly consumer: string; readonly messageId: string; readonly attempt: number }
  | { readonly type: "duplicate"; readonly consumer: string; readonly messageId: string }
  | { readonly type: "busy"; readonly consumer: string; readonly messageId: string }
  | { readonly type: "leaseLost"; readonly consumer: string; readonly messageId: string }
  | {
      readonly type: "consumeFailed";
      readonly consumer: string;
      readonly messageId: string;
      readonly fatal: boolean;
      readonly error: unknown;
    }
  | { readonly type: "rejected"; readonly path: string; readonly status: number; readonly reason: string }
  | {
      readonly type: "ended";
      readonly messageId: string;
      readonly topic: string;
      readonly attempts: number;
      readonly reason: string;
    }
  | { readonly type: "signedByNext"; readonly path: string }
  | { readonly type: "logLost" }
  | { readonly type: "recordFailed"; readonly error: unknown }
  | { readonly type: "background"; readonly error: unknown };

/** Told of every event; whatever it throws is ignored. */
export interface Observer {
  /** Takes in one event; returns at once. */
  event(event: Event): void;
}
