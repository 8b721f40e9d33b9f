import { aftercommit } from "aftercommit";
import type { AftercommitEnv } from "aftercommit";
import type { MemorySql } from "aftercommit/memory";
import { Hono } from "hono";
import { LinearRouter } from "hono/router/linear-router";
import { act } from "./effects.ts";
import type { App, Env, Service } from "./shop.ts";
import { LEDGER, noted } from "./topics.ts";

/** A service of somebody else: it only consumes, in a database of its own, and the shop's log knows nothing of it. */
export function ledger(): Service {
  const ac = aftercommit<Env>(({ ports, world, process }) => ({
    publicUrl: LEDGER,
    inbox: "books",
    observer: { event: (event) => world.oracle.told(process, event) },
    ...ports,
  }));
  const app: App = new Hono<AftercommitEnv<Env>>({ router: new LinearRouter() });
  app.onError((_error, c) => c.body(null, 500));
  app.post(
    "/consumers/book",
    ac.consumer(noted, (message) => message.run("books", (sql: MemorySql) => act(sql, "book", message.id))),
  );
  return { app, ac };
}
