import { expect, test } from "vitest";
import { consume } from "../../../src/core/consume.ts";
import type { Arrival } from "../../../src/core/consume.ts";
import type { Envelope } from "../../../src/model/envelope.ts";
import { serviceOf } from "../../races/race.ts";
import { ELSEWHERE, orderPaid, seatFreed, world } from "../../support/world.ts";
import type { World } from "../../support/world.ts";

function arrivalOf(w: World, more: Partial<Envelope> = {}): Arrival {
  const time = new Date(w.clock.now()).toISOString();
  return {
    envelope: {
      specversion: "1.0",
      id: "message-1",
      source: "https://elsewhere.example.com/",
      type: orderPaid.name,
      time,
      decidedat: time,
      datacontenttype: "application/json",
      transactionid: "0197-tx",
      messageindex: 0,
      data: { orderId: "o-1" },
      ...more,
    },
    consumer: "receipt",
    attempt: 1,
  };
}

test("a message is consumed up to the very end of the time that it is remembered", async () => {
  const w = world();
  const { core } = serviceOf(w, {});
  const { inboxRetentionMillis } = core.settings;
  const made = arrivalOf(w);
  await w.clock.advance(inboxRetentionMillis);
  expect(await consume(core, made, orderPaid, () => 1)).toMatchObject({ status: "ack" });
  await w.clock.advance(1);
  expect(await consume(core, { ...made, consumer: "other" }, orderPaid, () => 1)).toMatchObject({ status: "dead" });
});

test("what a consumer publishes carries the whole trace context of what it consumes, or none", async () => {
  const w = world();
  const { core } = serviceOf(w, { routes: { [seatFreed.name]: ELSEWHERE } });
  const context = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", tracestate: "a=1,b=2" };
  for (const [id, trace] of [
    ["message-1", context],
    ["message-2", {}],
  ] as const) {
    const ended = await consume(core, arrivalOf(w, { id, ...trace }), orderPaid, (message) =>
      message.tx.publish(seatFreed, { seat: "1" }),
    );
    if (ended.status === "ack") await ended.afterwards?.();
  }
  const [traced, untraced] = w.transport.accepted.map(({ body }) => JSON.parse(body) as Envelope);
  expect(traced).toMatchObject({ ...context, causationid: "message-1" });
  expect(untraced).not.toHaveProperty("traceparent");
  expect(untraced).not.toHaveProperty("tracestate");
});
