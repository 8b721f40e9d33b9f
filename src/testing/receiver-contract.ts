import { utf8 } from "../model/bytes.ts";
import type { Receiver, SignedRequest } from "../ports/receiver.ts";
import type { TransportDeadLetter } from "../ports/transport.ts";
import { expectEqual, expectThat } from "./assert.ts";
import type { ContractRunner } from "./contract.ts";

/** A delivery that is to be signed. */
export interface DeliveryToSign {
  /** The URL that it is signed for. */
  readonly url: string;
  /** The body that it is signed with. */
  readonly body: string;
  /** Which key signs; `"foreign"` is one that the receiver does not know. @default "current" */
  readonly key?: "current" | "next" | "foreign";
  /** From 1. @default 1 */
  readonly attempt?: number;
  /** The facts that travel with it. */
  readonly meta?: string;
}

/** A receiver, and the transport's side of it. */
export interface ReceiverUnderTest {
  /** What is under test. */
  readonly receiver: Receiver;
  /** The headers of a delivery as the transport makes it. */
  sign(delivery: DeliveryToSign): Promise<Headers>;
  /** The body of a failure callback as the transport makes it; the epoch travels in the URL that is called. */
  failureBody(letter: TransportDeadLetter): string;
}

/** Makes a receiver. */
export type MakeReceiver = () => Promise<ReceiverUnderTest>;

const URL_OF_CONSUMER = "https://shop.example.com/consumers/receipt";
const BODY = '{"text":"ä 漢字 🙂","card":"4111 1111 1111 1111"}';

/**
 * What every receiver does.
 *
 * @example
 * ```ts
 * import { test } from "vitest";
 * receiverContract({ test }, makeReceiver);
 * ```
 */
export function receiverContract({ test }: ContractRunner, make: MakeReceiver): void {
  const request = async (
    tested: ReceiverUnderTest,
    delivery: Partial<DeliveryToSign> = {},
    delivered: { readonly url?: string; readonly body?: string } = {},
  ): Promise<SignedRequest> => {
    const { url = URL_OF_CONSUMER, body = BODY } = delivery;
    const headers = await tested.sign({ ...delivery, url, body });
    return { headers, body: utf8(delivered.body ?? body), url: delivered.url ?? url };
  };

  test("a delivery of the transport is verified", async () => {
    const tested = await make();
    const found = await tested.receiver.verify(await request(tested));
    expectThat(found.verified, `expected a verified delivery, found a refusal: ${found.verified ? "" : found.reason}`);
    expectEqual([found.subject, found.signedBy], [URL_OF_CONSUMER, "current"], "subject and key");
  });

  test("the subject is the URL without its query", async () => {
    const tested = await make();
    const found = await tested.receiver.verify(await request(tested, { url: `${URL_OF_CONSUMER}?epoch=0` }));
    expectEqual(found.verified && found.subject, URL_OF_CONSUMER, "the subject");
  });

  test("an empty body is verified as any other", async () => {
    const tested = await make();
    const found = await tested.receiver.verify(await request(tested, { body: "" }));
    expectThat(found.verified, "expected a verified delivery");
  });

  test("a delivery signed with the next key is verified, and says so", async () => {
    const tested = await make();
    const found = await tested.receiver.verify(await request(tested, { key: "next" }));
    expectEqual(found.verified && found.signedBy, "next", "the key");
  });

  test("the same delivery is verified again: a transport repeats itself", async () => {
    const tested = await make();
    const repeated = await request(tested);
    await tested.receiver.verify(repeated);
    expectThat((await tested.receiver.verify(repeated)).verified, "expected the repeated delivery to be verified");
  });

  test("a forged delivery is refused, and the reason shows nothing of its body", async () => {
    const tested = await make();
    const url = "https://shop.example.com/consumers/stock";
    const forged: Readonly<Record<string, SignedRequest>> = {
      "signed with a foreign key": await request(tested, { key: "foreign" }),
      "with another body": await request(tested, {}, { body: `${BODY} ` }),
      "without its body": await request(tested, {}, { body: "" }),
      "for another URL": await request(tested, {}, { url }),
      "for another query": await request(tested, { url: `${url}?epoch=a` }, { url: `${url}?epoch=b` }),
      "without its query": await request(tested, { url: `${url}?epoch=a` }, { url }),
      "without a signature": { headers: new Headers(), body: utf8(BODY), url: URL_OF_CONSUMER },
    };
    for (const [name, delivery] of Object.entries(forged)) {
      const found = await tested.receiver.verify(delivery);
      expectThat(!found.verified, `expected a delivery ${name} to be refused`);
      expectThat(found.reason !== "" && !found.reason.includes("4111"), `expected a reason without the body, ${name}`);
    }
  });

  test("the hints tell the attempt and the facts that travel along", async () => {
    const tested = await make();
    const { headers } = await request(tested, { attempt: 3, meta: '{"v":1}' });
    expectEqual(tested.receiver.hints(headers), { attempt: 3, meta: '{"v":1}' }, "the hints");
    expectEqual(tested.receiver.hints(new Headers()), { attempt: 1 }, "the hints of no headers");
  });

  test("a failure callback is read as the dead letter that it tells of", async () => {
    const tested = await make();
    const letter: TransportDeadLetter = {
      transportId: "1725323658779-0",
      url: "https://stock.example.com/consumers/stock",
      body: BODY,
      meta: '{"v":1}',
      epoch: "e-1_x",
      status: 500,
      response: "out of stock",
    };
    const url = new URL(`https://shop.example.com/failed?epoch=${letter.epoch}`);
    expectEqual(tested.receiver.parseFailure(tested.failureBody(letter), url), { letter }, "the dead letter");
  });

  test("what is no failure callback gives a reason", async () => {
    const { receiver } = await make();
    const found = receiver.parseFailure("no callback", new URL("https://shop.example.com/failed"));
    expectThat("reason" in found && found.reason !== "", "expected a reason");
  });
}
