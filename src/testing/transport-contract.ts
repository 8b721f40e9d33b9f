import { deduplicationId, deliveryRecord, hashDestination } from "../model/delivery.ts";
import type { DeliveryFacts } from "../model/delivery.ts";
import { encodeEnvelope, stampEnvelope } from "../model/envelope.ts";
import { transactionIdAt } from "../model/ids.ts";
import type { Dispatch, DispatchResult, Transport, TransportDeadLetter } from "../ports/transport.ts";
import { systemClock } from "../system/clock.ts";
import { webCrypto } from "../system/crypto.ts";
import { expectEqual, expectThat } from "./assert.ts";
import type { ContractRunner } from "./contract.ts";

/** A call that reached a destination. */
export interface Arrived {
  /** The URL that was called. */
  readonly url: string;
  /** The body that came with it. */
  readonly body: string;
}

/** A transport, and the world that it delivers to. */
export interface TransportUnderTest {
  /** What is under test. */
  readonly transport: Transport;
  /** The URL of a destination that takes whatever it is sent, a new one for each call. */
  accepting(): Promise<string>;
  /** The URL of a destination that refuses whatever it is sent, a new one for each call. */
  refusing(): Promise<string>;
  /** Whatever reached a destination that takes it, in order of arrival. */
  arrived(): readonly Arrived[];
  /** Resolves once everything that was taken has arrived or has been given up. */
  settled(): Promise<void>;
  /**
   * Whether it recognises its own earlier copies, or only those that have not arrived yet; where it does not, every copy may
   * arrive.
   *
   * @default true
   */
  readonly deduplicates?: boolean | "outstanding";
  /** Lets the next call of the transport go wrong: before it is applied, or after. The tests of it are left out without. */
  failNext?(fault: "unreachable" | "replyLost"): void;
  /** Ends the transport and what it holds. */
  dispose(): Promise<void>;
}

/** Makes a transport that has carried nothing yet. */
export type MakeTransport = () => Promise<TransportUnderTest>;

/**
 * What every transport does. What it does not offer (`wake`, `reports`) is left out.
 *
 * @example
 * ```ts
 * import { test } from "vitest";
 * transportContract({ test }, makeTransport);
 * ```
 */
export function transportContract({ test }: ContractRunner, make: MakeTransport): void {
  const withTransport = (name: string, run: (tested: TransportUnderTest) => Promise<void>): void => {
    test(name, async () => {
      const tested = await make();
      try {
        await run(tested);
      } finally {
        await tested.dispose();
      }
    });
  };

  withTransport("what it takes arrives, with its body to the letter", async (tested) => {
    const dispatches = [await dispatchTo(await tested.accepting()), await dispatchTo(await tested.accepting())];
    const results = await tested.transport.publish(dispatches);
    expectEqual(results, [TAKEN, TAKEN], "the results");
    await tested.settled();
    expectEqual(sorted(tested.arrived()), sorted(dispatches.map(arrivalOf)), "what arrived");
  });

  withTransport("nothing to publish is no trouble", async ({ transport }) => {
    expectEqual(await transport.publish([]), [], "the results");
  });

  withTransport(
    "what is published again is recognised, and arrives once, where the transport knows its own copies",
    async (tested) => {
      const dispatch = await dispatchTo(await tested.accepting());
      await tested.transport.publish([dispatch]);
      const again = await tested.transport.publish([dispatch]);
      const deduplicated = (tested.deduplicates ?? true) !== false;
      expectEqual(again, [{ status: "accepted", deduplicated }], "the second result");
      await tested.settled();
      const arrival = arrivalOf(dispatch);
      expectEqual(tested.arrived(), deduplicated ? [arrival] : [arrival, arrival], "what arrived");
    },
  );

  withTransport("another epoch of a delivery is another message", async (tested) => {
    const first = await dispatchTo(await tested.accepting());
    const { key: _key, meta: _meta, body, ...facts } = first.record;
    const redriven = { record: deliveryRecord({ ...facts, epoch: "e-1_x" }, body), body: first.body };
    expectEqual(await tested.transport.publish([first]), [TAKEN], "the first result");
    expectEqual(await tested.transport.publish([redriven]), [TAKEN], "the result of the redrive");
    await tested.settled();
    expectThat(tested.arrived().length === 2, "expected both epochs to arrive");
  });

  withTransport("a destination that refuses keeps nothing from another", async (tested) => {
    const good = await dispatchTo(await tested.accepting());
    await tested.transport.publish([await dispatchTo(await tested.refusing()), good]);
    await tested.settled();
    expectEqual(tested.arrived(), [arrivalOf(good)], "what arrived");
  });

  for (const fault of ["unreachable", "replyLost"] as const) {
    const name = fault === "unreachable" ? "a transport out of reach takes nothing" : "a lost reply is no refusal";
    withTransport(`${name}, and publishing again brings each message once`, async (tested) => {
      if (tested.failNext === undefined) return;
      const dispatches = [await dispatchTo(await tested.accepting()), await dispatchTo(await tested.accepting())];
      tested.failNext(fault);
      for (const result of await publishOrReject(tested.transport, dispatches)) {
        expectThat(result.status === "retry", `expected "retry" of a call that went wrong, found "${result.status}"`);
      }
      await tested.settled();
      const early = fault === "unreachable" ? 0 : dispatches.length;
      expectEqual(tested.arrived().length, early, "how many arrived before they were published again");
      const applied = fault === "replyLost";
      const deduplicated = applied && (tested.deduplicates ?? true) === true;
      const taken = { status: "accepted", deduplicated };
      expectEqual(await tested.transport.publish(dispatches), [taken, taken], "the results");
      await tested.settled();
      const copies = applied && !deduplicated ? [...dispatches, ...dispatches] : dispatches;
      expectEqual(sorted(tested.arrived()), sorted(copies.map(arrivalOf)), "what arrived");
    });
  }

  withTransport("a wake-up call comes once for its id", async (tested) => {
    if (tested.transport.wake === undefined) return;
    const url = await tested.accepting();
    const call = { url, id: `wake-${freshId()}`, notBeforeSeconds: Math.floor(systemClock.now() / 1_000) - 60 };
    await tested.transport.wake(call);
    await tested.transport.wake(call);
    await tested.settled();
    expectEqual(
      tested.arrived().map((arrived) => arrived.url),
      [url],
      "what was called",
    );
  });

  withTransport(
    "the reports tell what has arrived and what was given up, and nothing of what they do not know",
    async (tested) => {
      const { reports } = tested.transport;
      if (reports === undefined) return;
      const [good, bad] = [await dispatchTo(await tested.accepting()), await dispatchTo(await tested.refusing())];
      const ids = [good, bad, await dispatchTo("https://unknown.example.com/")].map(({ record }) =>
        deduplicationId(record),
      );
      const before = await reports.outcomes(ids);
      expectEqual([...before], [], "the outcomes before anything was published");
      await tested.transport.publish([good, bad]);
      await tested.settled();
      const outcomes = await reports.outcomes(ids);
      expectEqual(
        ids.map((id) => outcomes.get(id)),
        ["delivered", "failed", undefined],
        "the outcomes",
      );
    },
  );

  withTransport(
    "what was given up is among the dead letters, with all that is needed to send it again",
    async (tested) => {
      const { reports } = tested.transport;
      if (reports === undefined) return;
      const epoch = "e-1_x";
      const bad = [await dispatchTo(await tested.refusing()), await dispatchTo(await tested.refusing(), { epoch })];
      await tested.transport.publish([await dispatchTo(await tested.accepting()), ...bad]);
      await tested.settled();
      const letters = await allLetters(tested.transport);
      expectThat(letters.length === 2, `expected 2 dead letters, found ${letters.length}`);
      for (const { record, body } of bad) {
        const letter = letters.find((found) => found.body === body);
        expectEqual(
          { url: letter?.url, meta: letter?.meta, epoch: letter?.epoch },
          { url: record.destination, meta: record.meta, epoch: record.epoch ?? "0" },
          "the dead letter",
        );
      }
    },
  );

  withTransport("a discarded dead letter is gone, and may be discarded again", async (tested) => {
    const { reports } = tested.transport;
    if (reports === undefined) return;
    await tested.transport.publish([
      await dispatchTo(await tested.refusing()),
      await dispatchTo(await tested.refusing()),
    ]);
    await tested.settled();
    const [first, second] = await allLetters(tested.transport);
    expectThat(first?.transportId !== undefined, "expected a dead letter with an id of the transport");
    await reports.discard(first.transportId);
    await reports.discard(first.transportId);
    const left = await allLetters(tested.transport);
    expectEqual(
      left.map((letter) => letter.transportId),
      [second?.transportId],
      "the dead letters that are left",
    );
  });
}

const TAKEN: DispatchResult = { status: "accepted", deduplicated: false };

async function dispatchTo(destination: string, facts: Partial<DeliveryFacts> = {}): Promise<Dispatch> {
  const transactionId = freshId();
  const messageId = `${transactionId}_0`;
  const now = systemClock.now();
  const half = encodeEnvelope({
    specversion: "1.0",
    id: messageId,
    source: "https://shop.example.com",
    type: "contract.tested",
    time: new Date(now).toISOString(),
    datacontenttype: "application/json",
    transactionid: transactionId,
    messageindex: 0,
    data: { text: "ä 漢字 🙂", quotes: `"\\'` },
  });
  const record = deliveryRecord(
    {
      transactionId,
      index: 0,
      destination,
      destinationHash: await hashDestination(webCrypto, destination),
      topic: "contract.tested",
      messageId,
      on: "commit",
      deadlineMillis: 60_000,
      send: { retries: 0 },
      ...facts,
    },
    half,
  );
  return { record, body: stampEnvelope(half, now) };
}

function freshId(): string {
  return transactionIdAt(systemClock.now(), webCrypto);
}

function arrivalOf({ record, body }: Dispatch): Arrived {
  return { url: record.destination, body };
}

function sorted(arrivals: readonly Arrived[]): readonly string[] {
  return arrivals.map(({ url, body }) => `${url} ${body}`).sort();
}

/** A call that went wrong as a whole may reject, or say so of each dispatch. */
async function publishOrReject(
  transport: Transport,
  dispatches: readonly Dispatch[],
): Promise<readonly DispatchResult[]> {
  try {
    return await transport.publish(dispatches);
  } catch {
    return [];
  }
}

async function allLetters(transport: Transport): Promise<readonly TransportDeadLetter[]> {
  const letters: TransportDeadLetter[] = [];
  let cursor: string | undefined;
  do {
    const page = await transport.reports!.deadLetters(cursor);
    letters.push(...page.letters);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return letters;
}
