import { createQStash } from "../../adapters/dev/qstash/index.ts";
import { sign } from "../../adapters/dev/qstash/signature.ts";
import { qstashReceiver } from "../../adapters/qstash/index.ts";
import { memoryReceiver } from "../../src/memory/index.ts";
import { receiverContract } from "../../src/testing/receiver-contract.ts";
import { describe, test } from "vitest";

describe("the receiver contract, as an embedded QStash signs", () => {
  receiverContract({ test }, async () => {
    const { current, next } = createQStash().signingKeys();
    const keys = { current, next, foreign: createQStash().signingKeys().current };
    return {
      receiver: qstashReceiver({ currentSigningKey: current, nextSigningKey: next }),
      async sign({ url, body, key = "current", attempt = 1, meta }) {
        const bytes = new TextEncoder().encode(body);
        const headers = new Headers({
          "Upstash-Signature": await sign({ key: keys[key], url, body: bytes, now: Date.now() }),
          "Upstash-Retried": String(attempt - 1),
        });
        if (meta !== undefined) headers.set("Aftercommit-Delivery", meta);
        return headers;
      },
      failureBody: ({ transportId, url, body, meta, status, response }) =>
        JSON.stringify({
          status,
          header: {},
          body: Buffer.from(response).toString("base64"),
          dlqId: transportId,
          url,
          sourceHeader: { "Aftercommit-Delivery": [meta] },
          sourceBody: Buffer.from(body).toString("base64"),
        }),
    };
  });
});

describe("the receiver contract, in memory", () => {
  receiverContract({ test }, async () => {
    const secrets = { current: "secret", next: "next", foreign: "foreign" };
    const receiver = memoryReceiver({ secret: secrets.current, nextSecret: secrets.next });
    return {
      receiver,
      sign: ({ url, body, key = "current", ...options }) =>
        receiver.sign(url, body, { ...options, secret: secrets[key] }),
      failureBody: (letter) => receiver.failureBody(letter),
    };
  });
});
