import type { ConfigurationProblem } from "../errors.ts";
import type { ConfigurationContext, TransportDeadLetter } from "./transport.ts";

/** A request as a receiver sees it: nothing of it is trusted yet. */
export interface SignedRequest {
  /** The request's headers. */
  readonly headers: Headers;
  /** The raw body, already limited. */
  readonly body: Uint8Array;
  /** The URL that the transport was told to call, by configuration; never derived from the request's Host. */
  readonly url: string;
}

/** What verification found. The reason is for logs only; an answer to the caller never carries it. */
export type Verification =
  | {
      readonly verified: true;
      /** The URL that was signed for, without its query: the name of a consumer that was given none. */
      readonly subject: string;
      /** The token's own id, for logs. */
      readonly tokenId: string | undefined;
      /** Which key it was signed with: `"next"` hints at a rotation that is under way. */
      readonly signedBy: "current" | "next";
    }
  | { readonly verified: false; readonly reason: string };

/** Verifies what a transport delivers over HTTP, and reads what its calls say. */
export interface Receiver {
  /** Tells whether the transport sent this, to this URL. */
  verify(request: SignedRequest): Promise<Verification>;
  /** What the transport says of a delivery outside its body. */
  hints(headers: Headers): DeliveryHints;
  /** Reads the body of a verified failure callback; the reason where it is not one. */
  parseFailure(body: string, url: URL): { readonly letter: TransportDeadLetter } | { readonly reason: string };
  /** What is wrong with the receiver's own configuration; empty where nothing is. */
  readonly problems?: (context: ConfigurationContext) => readonly ConfigurationProblem[];
}

/** Unsigned remarks of the transport: good for logs and for finding our own record, for nothing else. */
export interface DeliveryHints {
  /** Which attempt this is, from 1. */
  readonly attempt: number;
  /** The facts of the delivery record. */
  readonly meta?: string;
}
