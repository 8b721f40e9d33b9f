import * as z from "zod/mini";
import { topic } from "aftercommit";
import type { AftercommitOptions, Dispatch, Topic } from "aftercommit";
import { memoryPayloadStore } from "aftercommit/memory";
import type { MemoryPayloadStore } from "aftercommit/memory";
import { payloads } from "aftercommit/payloads";
import type { ClaimCheckOptions, EncryptionOptions } from "aftercommit/payloads";
import { world } from "./world.ts";
import type { ServiceUnderTest, World } from "./world.ts";

/** What a message of {@link letterSent} carries. */
export interface Letter {
  readonly to: string;
  readonly text: string;
}

export const LETTER = z.object({ to: z.string(), text: z.string() });
export const letterSent: Topic<Letter> = topic("letter.sent", LETTER);

/** Where letters go. */
export const LETTER_ROUTES = { [letterSent.name]: ["/consumers/letter"] };

/** A key that repeats one byte, in base64. */
export function keyOf(byte: number): string {
  return btoa(String.fromCharCode(...new Uint8Array(32).fill(byte)));
}

/** An encryption whose keys are named after their bytes; the first one encrypts. */
export function keysOf(...bytes: number[]): EncryptionOptions {
  return { keys: bytes.map((byte) => ({ id: `key-${byte}`, key: keyOf(byte) })) };
}

/** A world with a payload store. */
export interface PayloadWorld extends World {
  readonly payloadStore: MemoryPayloadStore;
  /** A service whose data are sealed so. */
  letters(sealing?: Sealing, options?: Partial<AftercommitOptions>, version?: Topic<Letter>): Letters;
}

/** How the data of a service are sealed. */
export interface Sealing {
  readonly encryption?: EncryptionOptions;
  readonly claimCheck?: Partial<ClaimCheckOptions>;
}

/** A service that sends letters and receives them. */
export interface Letters extends ServiceUnderTest {
  /** Publishes one; the status, and what the transport was given. */
  send(letter: Letter): Promise<{ readonly status: number; readonly dispatches: readonly Dispatch[] }>;
  /** What its consumer was given. */
  readonly received: Letter[];
}

/** Makes one. */
export function payloadWorld(): PayloadWorld {
  const w = world();
  const payloadStore = memoryPayloadStore({ clock: w.clock });
  return {
    ...w,
    payloadStore,
    letters({ encryption, claimCheck } = {}, options = {}, version = letterSent) {
      const codec = payloads({
        encryption,
        claimCheck: claimCheck === undefined ? undefined : { store: payloadStore, above: 100, ...claimCheck },
      });
      const made = w.service({ routes: LETTER_ROUTES, payloads: codec, ...options });
      const received: Letter[] = [];
      made.app.post("/letters", made.ac.transaction(), async (c) => {
        await c.var.tx.publish(version, await c.req.json<Letter>());
        return c.json({});
      });
      made.app.post(
        "/consumers/letter",
        made.ac.consumer(version, ({ data }) => void received.push(data), { name: "letters" }),
      );
      return {
        ...made,
        received,
        async send(letter) {
          const before = w.transport.accepted.length;
          const response = await made.app.request("/letters", { method: "POST", body: JSON.stringify(letter) });
          await made.ac.drain();
          return { status: response.status, dispatches: w.transport.accepted.slice(before) };
        },
      };
    },
  };
}

/** The envelope of a dispatch. */
export function envelopeOf(dispatch: Pick<Dispatch, "body">): Record<string, unknown> {
  return JSON.parse(dispatch.body) as Record<string, unknown>;
}

/** Why a consumer did not take a message. */
export function reasonOf(answer: string): string {
  return (JSON.parse(answer) as { error: { reason: string } }).error.reason;
}
