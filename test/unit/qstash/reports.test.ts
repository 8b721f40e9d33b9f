import { describe, expect, test } from "vitest";
import { qstash } from "../../../adapters/qstash/index.ts";
import type { QStashRequest } from "../../../adapters/qstash/index.ts";
import type { DeliveryReports } from "../../../src/ports/transport.ts";
import { dispatchTo, scriptedClient, statusError } from "./scripted-client.ts";
import type { ScriptedClient } from "./scripted-client.ts";

function reportsOf(client: ScriptedClient, label?: string): DeliveryReports {
  return qstash({ client, label }).reports!;
}

function idOf(index: number, epoch = "0"): string {
  return `${dispatchTo("https://stock.example.com/", { index }).record.key}_${epoch}`;
}

describe("outcomes", () => {
  /** An event log that holds these final states, by deduplication id. */
  const eventLog = (states: Readonly<Record<string, readonly string[]>>): ScriptedClient =>
    scriptedClient(({ query }) => {
      const asked = new Set(query!.label);
      const events = Object.entries(states).flatMap(([id, found]) =>
        found
          .filter((state) => state === query!.state && asked.has(id))
          .map((state) => ({ state, messageId: "msg_1", label: "aftercommit", labels: ["aftercommit", id] })),
      );
      return { events };
    });

  test("are asked for once where everything has arrived", async () => {
    const client = eventLog({ [idOf(0)]: ["DELIVERED"], [idOf(1)]: ["DELIVERED"] });
    expect(await reportsOf(client).outcomes([idOf(0), idOf(1)])).toEqual(
      new Map([
        [idOf(0), "delivered"],
        [idOf(1), "delivered"],
      ]),
    );
    expect(client.requests).toEqual([
      {
        path: ["v2", "events"],
        method: "GET",
        query: { state: "DELIVERED", label: [idOf(0), idOf(1)], count: "100" },
      },
    ]);
  });

  test("delivered wins over failed, and what has no end is absent", async () => {
    const client = eventLog({ [idOf(0)]: ["FAILED", "DELIVERED"], [idOf(1)]: ["FAILED"] });
    const outcomes = await reportsOf(client).outcomes([idOf(0), idOf(1), idOf(2)]);
    expect([...outcomes]).toEqual([
      [idOf(0), "delivered"],
      [idOf(1), "failed"],
    ]);
    expect(client.requests.map(({ query }) => [query!.state, query!.label])).toEqual([
      ["DELIVERED", [idOf(0), idOf(1), idOf(2)]],
      ["FAILED", [idOf(1), idOf(2)]],
    ]);
  });

  test("another epoch of a delivery says nothing of this one", async () => {
    const client = eventLog({ [idOf(0, "0")]: ["FAILED"] });
    expect(await reportsOf(client).outcomes([idOf(0, "e1")])).toEqual(new Map());
  });

  test("no question names more than 40 deliveries, and none is asked about nothing", async () => {
    const ids = Array.from({ length: 100 }, (_, index) => idOf(index));
    const client = eventLog(Object.fromEntries(ids.map((id) => [id, ["DELIVERED"]])));
    expect((await reportsOf(client).outcomes(ids)).size).toBe(100);
    expect(client.requests.map(({ query }) => query!.label!.length)).toEqual([40, 40, 20]);
    expect((await reportsOf(client).outcomes([])).size).toBe(0);
    expect(client.requests).toHaveLength(3);
  });

  test("pages are followed until all are found, and not for ever", async () => {
    const page = (labels: string[], cursor?: string | number) => ({ events: [{ state: "DELIVERED", labels }], cursor });
    const found = scriptedClient((_request, index) => page([idOf(index)], `c${index}`));
    expect((await reportsOf(found).outcomes([idOf(0), idOf(1), idOf(2)])).size).toBe(3);
    expect(found.requests.map(({ query }) => query!.cursor)).toEqual([undefined, "c0", "c1"]);
    const endless = scriptedClient(() => page([], 7));
    expect((await reportsOf(endless).outcomes([idOf(0)])).size).toBe(0);
    expect(endless.requests).toHaveLength(10);
  });

  test("an API that does not hear the state turns no attempt into an arrival", async () => {
    const client = scriptedClient(() => ({ events: [{ state: "ACTIVE", labels: [idOf(0)] }] }));
    expect(await reportsOf(client).outcomes([idOf(0)])).toEqual(new Map());
  });

  test("reject where the answer is none", async () => {
    for (const answer of [undefined, [], {}, { events: {} }]) {
      await expect(reportsOf(scriptedClient(() => answer)).outcomes([idOf(0)])).rejects.toThrow("Expected");
    }
    const failing = scriptedClient(() => {
      throw statusError(500);
    });
    await expect(reportsOf(failing).outcomes([idOf(0)])).rejects.toThrow();
  });
});

describe("dead letters", () => {
  const entry = {
    messageId: "msg_1",
    dlqId: "1725323658779-0",
    url: "https://stock.example.com/consumers/stock",
    header: { "Content-Type": ["application/cloudevents+json"], "Aftercommit-Delivery": ['{"v":1}'] },
    body: '{"id":"m"}',
    label: "aftercommit",
    labels: ["aftercommit", idOf(0, "e_1-x")],
    responseStatus: 500,
    responseBody: "out of stock",
  };
  const listed = async (messages: readonly object[]) =>
    (await reportsOf(scriptedClient(() => ({ messages }))).deadLetters()).letters;

  test("are asked for by our label, page by page", async () => {
    const client = scriptedClient((_request, index) => ({ messages: [], cursor: index === 0 ? "c1" : "" }));
    const reports = reportsOf(client, "shop");
    expect(await reports.deadLetters()).toEqual({ letters: [], cursor: "c1" });
    expect(await reports.deadLetters("c1")).toEqual({ letters: [] });
    expect(client.requests).toEqual([
      { path: ["v2", "dlq"], method: "GET", query: { label: "shop", count: "100" } },
      { path: ["v2", "dlq"], method: "GET", query: { label: "shop", cursor: "c1", count: "100" } },
    ]);
  });

  test("are read with the message, its facts, its epoch and the last answer", async () => {
    expect(await listed([entry])).toEqual([
      {
        transportId: "1725323658779-0",
        url: "https://stock.example.com/consumers/stock",
        body: '{"id":"m"}',
        meta: '{"v":1}',
        epoch: "e_1-x",
        status: 500,
        response: "out of stock",
      },
    ]);
  });

  test("are read from base64 where the text is not in the entry itself", async () => {
    const base64 = (text: string) => Buffer.from(text).toString("base64");
    const { body: _body, responseBody: _responseBody, ...rest } = entry;
    expect(await listed([{ ...rest, bodyBase64: base64("ä"), responseBodyBase64: base64("ö") }])).toMatchObject([
      { body: "ä", response: "ö" },
    ]);
    expect(await listed([rest])).toMatchObject([{ body: "", response: "status 500 without a readable body" }]);
  });

  test("know their epoch from the failure URL where the labels are cut short", async () => {
    const failureCallback = "https://shop.example.com/failed?epoch=e1";
    expect(await listed([{ ...entry, labels: undefined, failureCallback }])).toMatchObject([{ epoch: "e1" }]);
    expect(await listed([{ ...entry, labels: undefined, label: `aftercommit, ${idOf(0, "e2")}` }])).toMatchObject([
      { epoch: "e2" },
    ]);
  });

  test("that are no deliveries of ours are skipped", async () => {
    const foreign = { ...entry, header: {}, labels: ["aftercommit", "other"] };
    expect(await listed([foreign, { ...entry, url: undefined }, "text", null] as object[])).toEqual([]);
  });

  test("reject where the answer is none", async () => {
    await expect(reportsOf(scriptedClient(() => ({}))).deadLetters()).rejects.toThrow("messages");
  });
});

describe("discarding a dead letter", () => {
  test("deletes that entry and no other", async () => {
    const client = scriptedClient(() => undefined);
    await reportsOf(client).discard("1725323658779-0");
    expect(client.requests).toEqual([
      { path: ["v2", "dlq", "1725323658779-0"], method: "DELETE", parseResponseAsJson: false },
    ] satisfies QStashRequest[]);
  });

  test("that is gone already is fine; another error is not", async () => {
    const answering = (status: number) =>
      reportsOf(
        scriptedClient(() => {
          throw statusError(status);
        }),
      );
    await expect(answering(404).discard("1-0")).resolves.toBe(undefined);
    await expect(answering(500).discard("1-0")).rejects.toThrow();
  });

  test.each(["", ".", "..", "a/b", "../schedules", "a?b", "a#b", "a b", "%2e%2e", "x".repeat(129)])(
    "refuses the id %j without a call",
    async (id) => {
      const client = scriptedClient(() => undefined);
      await expect(reportsOf(client).discard(id)).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
      expect(client.requests).toEqual([]);
    },
  );
});
