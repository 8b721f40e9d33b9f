import { expect, test } from "vitest";
import { aftercommit } from "aftercommit";
import { createRedisEngine } from "../../../adapters/dev/redis/index.ts";
import { redisStreams } from "../../../adapters/redis-streams/index.ts";
import { simulatedClock } from "../../../src/testing/index.ts";
import { backendExecutor } from "../../support/upstash-endpoint.ts";
import { dispatchTo } from "../qstash/scripted-client.ts";
import { KEYS, RECEIPT } from "./stream-world.ts";

function started() {
  const clock = simulatedClock();
  const engine = createRedisEngine({ now: () => clock.now() });
  const backend = backendExecutor(engine);
  const sizes: number[] = [];
  const commands: (readonly string[])[] = [];
  const redis = {
    execute: (command: readonly string[]) => {
      commands.push(command);
      sizes.push(command.join("").length);
      return backend.execute(command);
    },
  };
  const transport = redisStreams(redis, { channels: ["orders", "empty"], clock });
  const run = (...command: string[]) => engine.execute(command) as never;
  return { clock, engine, transport, commands, sizes, run };
}

const accepted = { status: "accepted", deduplicated: false };
const recognised = { status: "accepted", deduplicated: true };

test("what is outstanding is recognised, wherever it lies", async () => {
  const { clock, transport, run } = started();
  const now = dispatchTo(RECEIPT, { index: 0 });
  const later = dispatchTo(RECEIPT, { index: 1, send: { notBefore: clock.now() + 60_000 } });
  expect(await transport.publish([now, later])).toEqual([accepted, accepted]);
  expect(await transport.publish([now, later])).toEqual([recognised, recognised]);
  expect([run("XLEN", KEYS.stream), run("ZCARD", KEYS.later), run("HLEN", KEYS.places)]).toEqual([1, 1, 2]);
});

test.each([
  ["its entry", (w: ReturnType<typeof started>) => w.run("DEL", KEYS.stream)],
  ["its time", (w: ReturnType<typeof started>) => w.run("DEL", KEYS.later)],
  ["where it lies", (w: ReturnType<typeof started>) => w.run("DEL", KEYS.places)],
])("what was lost in part (%s) is taken again, not taken for outstanding", async (_, lose) => {
  const w = started();
  const notBefore = w.clock.now() + 60_000;
  const dispatches = [dispatchTo(RECEIPT, { index: 0 }), dispatchTo(RECEIPT, { index: 1, send: { notBefore } })];
  await w.transport.publish(dispatches);
  lose(w);
  await w.transport.publish(dispatches);
  expect(w.run("XLEN", KEYS.stream)).toBeGreaterThanOrEqual(1);
  expect([w.run("ZCARD", KEYS.later), w.run("HLEN", KEYS.places)]).toEqual([1, 2]);
});

test("each subscriber has a stream of its own, and all that is its own lies in one hash slot", async () => {
  const { transport, commands, run } = started();
  const destinations = [RECEIPT, "stream:orders/stock", "stream:empty/stock"];
  await transport.publish(destinations.map((destination, index) => dispatchTo(destination, { index })));
  expect((run("KEYS", "*") as string[]).filter((key) => !key.endsWith(":places")).sort()).toEqual([
    "{aftercommit:stream:empty}:stock",
    "{aftercommit:stream:orders}:receipt",
    "{aftercommit:stream:orders}:stock",
  ]);
  for (const [, , count, ...rest] of commands) {
    const tags = rest.slice(0, Number(count)).map((key) => /\{.*\}/.exec(key)![0]);
    expect(new Set(tags).size).toBe(1);
  }
});

test("deliveries to one subscriber go out in one command, a hundred at a time, in order", async () => {
  const { transport, commands, run } = started();
  const dispatches = Array.from({ length: 250 }, (_, index) => dispatchTo(RECEIPT, { index }, `{"n":${index}}`));
  expect(await transport.publish(dispatches)).toEqual(dispatches.map(() => accepted));
  expect(commands).toHaveLength(3);
  const entries = run("XRANGE", KEYS.stream, "-", "+") as [string, string[]][];
  expect(entries.map(([, fields]) => fields[5]!.split("\n")[1])).toEqual(dispatches.map(({ body }) => body));
});

test("no command is larger than Upstash takes", async () => {
  const { transport, sizes } = started();
  const dispatches = Array.from({ length: 12 }, (_, index) => dispatchTo(RECEIPT, { index }, "x".repeat(1_000_000)));
  await transport.publish(dispatches);
  expect(sizes).toHaveLength(4);
  expect(Math.max(...sizes)).toBeLessThan(5_000_000);
});

test("a Redis that does not answer is asked again, and no message is in the reason", async () => {
  const transport = redisStreams(
    { execute: () => Promise.reject(new Error('ERR max requests limit exceeded, command was: ["eval","secret"]')) },
    { channels: ["orders"] },
  );
  expect(await transport.publish([dispatchTo(RECEIPT)])).toEqual([
    { status: "retry", reason: "Redis answered: ERR max requests limit exceeded" },
  ]);
});

test("a channel that this service has not is left for a release that has it", async () => {
  const { transport, commands } = started();
  const results = await transport.publish([dispatchTo("stream:gone/receipt"), dispatchTo("queue:orders/receipt")]);
  expect(results.map(({ status }) => status)).toEqual(["retry", "retry"]);
  expect(commands).toEqual([]);
});

test("channels and a namespace that cannot be named are refused at start", () => {
  const { engine } = started();
  const transport = redisStreams(backendExecutor(engine), { channels: ["a b"], namespace: "{x}" });
  expect(() => aftercommit({ transport })).toThrow(/redisStreams.channels[\s\S]*redisStreams.namespace/);
});
