import { Hono } from "hono";
import { describe, expect, test } from "vitest";
import { worker } from "aftercommit/cloudflare";
import { queueHandler } from "aftercommit/cloudflare-queues";
import { memoryStore } from "aftercommit/memory";
import { aftercommit } from "aftercommit";
import { world } from "../../support/world.ts";
import { unreachableStore } from "./unreachable-store.ts";

const context = () => {
  const kept: Promise<unknown>[] = [];
  return {
    kept,
    waitUntil: (promise: Promise<unknown>) => void kept.push(promise),
    passThroughOnException() {},
    props: {},
  };
};
const trigger = (cron = "* * * * *") => {
  const controller = { cron, scheduledTime: 0, retried: true, noRetry: () => void (controller.retried = false) };
  return controller;
};

describe("a Worker", () => {
  test("has one configuration for requests, Cron Triggers and queues, made once for each environment", async () => {
    interface Env {
      readonly name: string;
    }
    const made: string[] = [];
    const ac = aftercommit<Env>((env) => {
      made.push(env.name);
      return { ...world().options(), log: memoryStore() };
    });
    const app = new Hono<{ Bindings: Env }>();
    app.get("/counts", async (c) => c.json(await ac.operator(c.env).log.counts()));
    const handlers = worker(app, ac, { queue: queueHandler(ac) });
    const [one, two] = [{ name: "one" }, { name: "two" }];
    expect(made).toEqual([]);
    await handlers.scheduled(trigger(), one, context());
    expect((await handlers.fetch(new Request("https://a.example.com/counts"), one, context())).status).toBe(200);
    await handlers.queue!({ queue: "orders", messages: [] }, one, context());
    await handlers.scheduled(trigger(), two, context());
    expect(made).toEqual(["one", "two"]);
  });

  test("without a handler for queues has none", () => {
    const { ac, app } = world().service();
    expect(worker(app, ac)).not.toHaveProperty("queue");
  });

  test("sweeps by each of its Cron Triggers, audits by those that say so, and runs jobs of its own", async () => {
    const w = world();
    const { ac, app } = w.service();
    const audits: boolean[] = [];
    const jobs: string[] = [];
    const watched = {
      scheduled: (...args: Parameters<typeof ac.scheduled>) => {
        audits.push(args[3]?.audit ?? false);
        return ac.scheduled(...args);
      },
    };
    const { scheduled } = worker(app, watched, {
      crons: { "0 * * * *": "audit", "*/5 * * * *": "sweep", "0 3 * * *": ({ cron }) => void jobs.push(cron) },
    });
    for (const cron of ["* * * * *", "*/5 * * * *", "0 * * * *", "0 3 * * *", "constructor"])
      await scheduled(trigger(cron), undefined, context());
    expect(audits).toEqual([false, false, true, false]);
    expect(jobs).toEqual(["0 3 * * *"]);
    expect(w.of("swept")).toHaveLength(4);
  });

  test("tells of a sweep that fails, fails the trigger, and asks for no retry before the next one", async () => {
    const w = world();
    const { store, cut } = unreachableStore(w.store);
    const { ac, app } = w.service({ log: store });
    cut(true);
    const controller = trigger();
    const { kept, ...rest } = context();
    const swept = worker(app, ac).scheduled(controller, undefined, {
      ...rest,
      waitUntil: (promise) => void kept.push(promise),
    });
    await expect(swept).rejects.toMatchObject({ code: "ERR_LOG_UNAVAILABLE" });
    expect(controller.retried).toBe(false);
    expect(w.of("background")).toEqual([
      { type: "background", error: expect.objectContaining({ code: "ERR_LOG_UNAVAILABLE" }) as unknown },
    ]);
    await expect(Promise.all(kept)).resolves.toBeDefined();
  });
});
