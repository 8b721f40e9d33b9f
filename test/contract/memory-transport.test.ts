import { describe, expect, test } from "vitest";
import { memoryTransport } from "../../src/memory/index.ts";
import { transportContract } from "../../src/testing/index.ts";
import type { Arrived } from "../../src/testing/index.ts";
import { sampleRecord } from "../../src/testing/samples.ts";

describe("the memory transport", () => {
  transportContract({ test }, async () => {
    const transport = memoryTransport();
    const arrived: Arrived[] = [];
    const refused = new Set<string>();
    let destinations = 0;
    let woken = 0;
    const destination = (): string => `https://consumer-${++destinations}.example.com/`;
    return {
      transport,
      arrived: () => arrived,
      accepting: async () => destination(),
      async refusing() {
        const url = destination();
        refused.add(url);
        return url;
      },
      async settled() {
        for (const dispatch of transport.take()) {
          const url = dispatch.record.destination;
          if (refused.has(url)) {
            transport.markFailed(dispatch);
          } else {
            transport.markDelivered(dispatch);
            arrived.push({ url, body: dispatch.body });
          }
        }
        arrived.push(...transport.wakes.slice(woken).map(({ url }) => ({ url, body: "" })));
        woken = transport.wakes.length;
      },
      failNext: (fault) => transport.fail(fault, { times: fault === "replyLost" ? 2 : 1 }),
      dispose: async () => {},
    };
  });

  const dispatches = [0, 1, 2].map((index) => ({ record: sampleRecord({ index }), body: `body ${index}` }));

  test("a fault concerns the dispatches that it is meant for, so many times", async () => {
    const transport = memoryTransport();
    const refusal = { status: "refused", reason: "413", code: 413 } as const;
    transport.fail(refusal, { when: ({ record }) => record.index === 1, times: 2 });
    const statuses = async () => (await transport.publish(dispatches)).map(({ status }) => status);
    expect(await statuses()).toEqual(["accepted", "refused", "accepted"]);
    expect(await statuses()).toEqual(["accepted", "refused", "accepted"]);
    expect(await statuses()).toEqual(["accepted", "accepted", "accepted"]);
    expect(transport.accepted.map(({ record }) => record.index)).toEqual([0, 2, 1]);
    expect(transport.calls).toHaveLength(3);
  });

  test("what was taken is handed out once", async () => {
    const transport = memoryTransport();
    await transport.publish(dispatches.slice(0, 2));
    expect(transport.take()).toEqual(dispatches.slice(0, 2));
    await transport.publish(dispatches);
    expect(transport.take()).toEqual(dispatches.slice(2));
    expect(transport.take()).toEqual([]);
  });
});
