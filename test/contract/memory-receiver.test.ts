import { describe, test } from "vitest";
import { memoryReceiver } from "../../src/memory/index.ts";
import { receiverContract } from "../../src/testing/index.ts";

describe("the memory receiver", () => {
  receiverContract({ test }, async () => {
    const secrets = { current: "current", next: "next", foreign: "foreign" };
    const receiver = memoryReceiver({ secret: secrets.current, nextSecret: secrets.next });
    return {
      receiver,
      sign: ({ url, body, key = "current", ...rest }) => receiver.sign(url, body, { ...rest, secret: secrets[key] }),
      failureBody: receiver.failureBody,
    };
  });
});
