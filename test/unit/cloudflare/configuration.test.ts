import { describe, expect, test } from "vitest";
import { ConfigurationError, InvalidMessageError, transports } from "aftercommit";
import type { AftercommitOptions, ConfigurationProblem, Transport } from "aftercommit";
import { cloudflareQueues } from "aftercommit/cloudflare-queues";
import { memoryTransport } from "aftercommit/memory";
import { anything, orderPaid, PUBLIC_URL, world } from "../../support/world.ts";
import { dispatchTo } from "../qstash/scripted-client.ts";
import { memoryQueue } from "./memory-queue.ts";

const base = world();
const queue = memoryQueue(base.clock);
const queues = cloudflareQueues({ orders: queue, mail: queue });

function problemsOf(
  overrides: Partial<AftercommitOptions>,
  then: (ac: ReturnType<typeof base.service>["ac"]) => unknown = () => {},
): readonly ConfigurationProblem[] {
  try {
    then(base.service(overrides).ac);
    return [];
  } catch (error) {
    if (ConfigurationError.is(error)) return error.problems;
    throw error;
  }
}

const routed = (transport: Transport, destination: string) =>
  problemsOf({ transport, routes: { [orderPaid.name]: destination } }).map(({ path }) => path);

describe("a destination of a queue", () => {
  const path = `routes["${orderPaid.name}"][0]`;

  test("names a queue of the transport and a subscriber", () => {
    for (const right of ["queue:orders/receipt", "queue:mail/a.b-c_d", `queue:orders/${"x".repeat(128)}`])
      expect(routed(queues, right), right).toEqual([]);
    for (const wrong of [
      "queue:receipts/receipt",
      "queue:orders",
      "queue:orders/",
      "queue:orders/a/b",
      "queue:orders/-a",
      "queue:orders/a b",
      "queue:orders/a?b",
      "queue://orders/a",
      "queue:constructor/a",
      `queue:orders/${"x".repeat(129)}`,
    ])
      expect(routed(queues, wrong), wrong).toEqual([path]);
  });

  test("is none without a transport that has queues", () => {
    expect(routed(memoryTransport(), "queue:orders/receipt")).toEqual([path]);
    expect(routed(memoryTransport(), "constructor:orders/receipt")).toEqual([path]);
  });

  test("is all that a transport of queues carries", () => {
    expect(routed(queues, "https://stock.example.net/stock")).toEqual([path]);
    expect(routed(queues, "/consumers/receipt")).toEqual([path]);
    expect(routed(transports(queues, memoryTransport()), "/consumers/receipt")).toEqual([]);
  });
});

test("a queue that is no binding, or has no name for a destination, is told of", () => {
  const wrong = cloudflareQueues({ orders: undefined as never, "a/b": queue });
  expect(problemsOf({ transport: wrong, routes: {} }).map(({ path }) => path)).toEqual([
    "cloudflareQueues.orders",
    "cloudflareQueues.a/b",
  ]);
});

test("two transports for the same destinations are told of", () => {
  for (const pair of [transports(queues, queues), transports(memoryTransport(), memoryTransport())])
    expect(problemsOf({ transport: pair, routes: {} }).map(({ path }) => path)).toEqual(["transport"]);
});

describe("several transports as one", () => {
  test("carry each destination by the transport that it belongs to, with the results in order", async () => {
    const w = world();
    const own = memoryQueue(w.clock);
    const http = memoryTransport();
    const both = transports(cloudflareQueues({ orders: own }), http);
    http.fail({ status: "refused", reason: "no" }, { when: ({ record }) => record.index === 2 });
    const dispatches = ["queue:orders/a", "https://a.example.net/1", "https://a.example.net/2", "queue:orders/b"].map(
      (destination, index) => dispatchTo(destination, { index }),
    );
    const results = await both.publish(dispatches);
    expect(results.map(({ status }) => status)).toEqual(["accepted", "accepted", "refused", "accepted"]);
    expect(own.messages).toHaveLength(2);
    expect(http.accepted).toEqual([dispatches[1]]);
  });

  test("that are out of reach keep nothing from the others", async () => {
    const w = world();
    const own = memoryQueue(w.clock);
    const http = memoryTransport();
    http.fail("unreachable");
    const both = transports(http, cloudflareQueues({ orders: own }));
    const results = await both.publish([dispatchTo("https://a.example.net/1"), dispatchTo("queue:orders/a")]);
    expect(results.map(({ status }) => status)).toEqual(["retry", "accepted"]);
  });

  test("offer what the one that calls URLs offers", () => {
    const w = world();
    expect(Object.keys(transports(queues))).not.toEqual(expect.arrayContaining(["wake", "reports", "receiver"]));
    const both = transports(queues, w.transport);
    expect(both).toMatchObject({ reports: w.transport.reports, receiver: w.receiver });
    expect(both.wake).toBeTypeOf("function");
    expect(problemsOf({ transport: both, recovery: { watchdog: "2m" } })).toEqual([]);
  });
});

describe("a subscriber", () => {
  test("needs an inbox, and neither URL nor receiver", () => {
    const subscribe = (ac: ReturnType<typeof base.service>["ac"]) => ac.subscribe(orderPaid, "receipt", () => {});
    const alone = { publicUrl: undefined, log: undefined, transport: undefined, routes: {} };
    expect(problemsOf({ ...alone, inbox: base.store }, subscribe)).toEqual([]);
    expect(problemsOf(alone, subscribe).map(({ path }) => path)).toEqual(["inbox"]);
  });

  test("has a name that no other has, and that fits a destination", () => {
    const twice = problemsOf({}, (ac) => {
      ac.subscribe(orderPaid, "receipt", () => {});
      ac.subscribe(anything, "receipt", () => {});
    });
    expect(twice.map(({ path }) => path)).toEqual(["subscriber.name"]);
    for (const name of ["", "a b", "a/b", "-a", "x".repeat(129)])
      expect(problemsOf({}, (ac) => ac.subscribe(orderPaid, name, () => {})).map(({ path }) => path)).toEqual([
        "subscriber.name",
      ]);
  });

  test("may bear the name of the consumer's route that does the same", () => {
    const both = problemsOf({}, (ac) => {
      ac.consumer(orderPaid, () => {}, { name: "receipt" });
      ac.subscribe(orderPaid, "receipt", () => {});
    });
    expect(both).toEqual([]);
  });

  test("needs the database that it names", () => {
    const paths = problemsOf({}, (ac) => ac.subscribe(orderPaid, "receipt", () => {}, { database: "main" }));
    expect(paths.map(({ path }) => path)).toEqual(["databases.main"]);
  });
});

test("a message that its queue can never take is refused when it is published, and nothing of it is kept", async () => {
  const w = world();
  const own = memoryQueue(w.clock);
  const { ac, app } = w.service({
    transport: cloudflareQueues({ orders: own }),
    routes: { [anything.name]: "queue:orders/receipt" },
  });
  const errors: unknown[] = [];
  app.post("/", ac.transaction(), async (c) => {
    await c.var.tx.publish(anything, { text: "x".repeat(128_000) }).catch((error: unknown) => errors.push(error));
    return c.text("ok");
  });
  expect((await app.request(`${PUBLIC_URL}/`, { method: "POST" })).status).toBe(200);
  await ac.drain();
  expect(errors).toEqual([expect.objectContaining({ code: "ERR_MESSAGE_TOO_LARGE" })]);
  expect(errors[0]).not.toMatchObject({ message: expect.stringContaining("xxx") as unknown });
  expect(InvalidMessageError.is(errors[0])).toBe(true);
  expect(own.calls).toEqual([]);
  expect(await ac.operator().log.counts()).toMatchObject({ unsettled: 0 });
});
