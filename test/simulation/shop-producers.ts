import { OutcomeUnknownError } from "aftercommit";
import type { Aftercommit, Transaction } from "aftercommit";
import type { MemorySql } from "aftercommit/memory";
import type { Context } from "hono";
import { book, orderKey } from "./effects.ts";
import type { Request, Sent } from "./plan.ts";
import type { App, Env } from "./shop.ts";
import { noted, paid, transfer, undone } from "./topics.ts";

/** The tx of a handler that does not say which databases there are. */
type Tx = Transaction;

/** Mounts the routes that produce: one for each way in which a transaction is decided. */
export function mountProducers(app: App, ac: Aftercommit<Env>, withLog: boolean): void {
  const requestOf = (c: Context): Request => (c.env as Env).world.requests[Number(c.req.param("n"))]!;
  const atBarrier = ac.transaction({ database: "main" });
  app.post("/run/:n", atBarrier, async (c) => c.body(null, await barrierRequest(requestOf(c), c.env, c.var.tx)));
  app.post("/batch/:n", atBarrier, async (c) => c.body(null, await barrierRequest(requestOf(c), c.env, c.var.tx)));
  if (!withLog) return;
  app.post("/checked/:n", ac.transaction({ check: "order" }), async (c) =>
    c.body(null, await loggedRequest(requestOf(c), c.env, c.var.tx)),
  );
  app.post("/marked/:n", ac.transaction(), async (c) =>
    c.body(null, await loggedRequest(requestOf(c), c.env, c.var.tx)),
  );
}

/** A transfer at level `barrier`; the status to answer with. */
async function barrierRequest(request: Request, env: Env, tx: Tx): Promise<200 | 500> {
  const { plan } = request;
  const before = await begun(request, env, tx);
  await publishExtras(request, tx, before);
  const attempt = plan.route === "run" ? () => runOnce(request, env, tx, before) : () => batchOnce(request, tx, before);
  return ending(request, async () => {
    try {
      await told(request, attempt);
    } catch (error) {
      if (plan.ending !== "does its work again after a failure" || request.told !== "rolledBack") throw error;
      await told(request, attempt);
    }
  });
}

/** A transfer outside of any request. */
export async function job(request: Request, env: Env, ac: Aftercommit<Env>): Promise<void> {
  const { plan } = request;
  const options = { env, retries: plan.retries };
  const done = ac.withTransaction(
    "main",
    async (tx: Tx, sql: MemorySql) => {
      request.transactionId = tx.id;
      request.process = env.process;
      await workOf(request, env, tx, sql, []);
    },
    options,
  );
  await told(request, () => done);
}

/** Business work whose messages are decided by the answer alone, or by a check too. */
async function loggedRequest(request: Request, env: Env, tx: Tx): Promise<200 | 500> {
  const before = await begun(request, env, tx);
  await publishExtras(request, tx, before);
  await publishTransfer(request, tx, before);
  request.commits = before;
  return ending(request, async () => {
    await env.world.sleep(env.process, request.plan.stallMillis);
    if (request.plan.ending === "throws inside of its work") throw new Error("inside");
    const outcome = await env.database.run(({ sql }) => businessWork(sql, request, tx.id));
    if (outcome.status !== "committed") throw new Error(`the work ended as ${outcome.status}`);
  });
}

async function begun(request: Request, { process }: Env, tx: Tx): Promise<Sent[]> {
  request.transactionId = tx.id;
  request.process = process;
  if (!request.plan.compensates) return [];
  await publishing(request, async () => {
    const { id } = await tx.publish(undone, { request: request.number }, { on: "rollback" });
    request.undoes.push({ id, topic: undone.name });
  });
  return [];
}

/** Publishes; where that is refused, nobody can know whether it goes out. */
async function publishing(request: Request, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    request.doubtful = true;
    request.ended = "failure";
    throw error;
  }
}

async function publishExtras(request: Request, tx: Tx, sent: Sent[]): Promise<void> {
  const { notes, pays, messageRetries: retries } = request.plan;
  await publishing(request, async () => {
    const topics = [...(notes ? [noted] : []), ...(pays ? [paid] : [])];
    const all = topics.map((topic) => tx.publish(topic, { request: request.number }, { retries }));
    for (const [i, { id }] of (await Promise.all(all)).entries()) sent.push({ id, topic: topics[i]!.name });
  });
}

async function publishTransfer(request: Request, tx: Tx, sent: Sent[]): Promise<void> {
  const { to, amount, messageRetries: retries } = request.plan;
  await publishing(request, async () => {
    const { id } = await tx.publish(transfer, { to, amount }, { retries });
    sent.push({ id, topic: transfer.name });
  });
}

/** Money leaves an account, and a row says so. */
async function businessWork(sql: MemorySql, { plan, number }: Request, transactionId: string): Promise<void> {
  await book(sql, plan.from, -plan.amount);
  await sql.insert(orderKey(number), transactionId);
}

async function workOf(request: Request, env: Env, tx: Tx, sql: MemorySql, before: readonly Sent[]): Promise<void> {
  const { plan } = request;
  const during: Sent[] = [];
  await businessWork(sql, request, tx.id);
  await publishTransfer(request, tx, during);
  if (plan.savepoint !== "none") {
    const part: Sent[] = [];
    await tx
      .savepoint(async (): Promise<void> => {
        const { id } = await tx.publish(noted, { request: request.number });
        part.push({ id, topic: noted.name });
        if (plan.savepoint === "rolled back") throw new Error("only this part");
        during.push(...part);
      })
      .catch((error: unknown) => {
        if (plan.savepoint === "kept") throw error;
      });
  }
  await env.world.sleep(env.process, plan.stallMillis);
  if (plan.ending === "throws inside of its work") throw new Error("inside");
  request.commits = [...before, ...during];
}

function runOnce(request: Request, env: Env, tx: Tx, before: readonly Sent[]): Promise<void> {
  const work = (sql: MemorySql): Promise<void> => workOf(request, env, tx, sql, before);
  return tx.run("main", work, { retries: request.plan.retries });
}

async function batchOnce(request: Request, tx: Tx, before: Sent[]): Promise<void> {
  if (!before.some(({ topic }) => topic === transfer.name)) await publishTransfer(request, tx, before);
  request.commits = before;
  const fails = request.plan.ending === "throws inside of its work";
  await tx.batch("main", [
    (sql: MemorySql) => businessWork(sql, request, tx.id),
    () => (fails ? Promise.reject(new Error("inside")) : Promise.resolve()),
  ]);
}

/** Notes what a handler is told of its work. */
async function told(request: Request, work: () => Promise<unknown>): Promise<void> {
  request.told = "nothing";
  try {
    await work();
    request.told = "committed";
  } catch (error) {
    request.told = OutcomeUnknownError.is(error) ? "unknown" : "rolledBack";
    throw error;
  }
}

/** Does the work, or not, and ends as the plan says. */
async function ending(request: Request, work: () => Promise<void>): Promise<200 | 500> {
  const end = (success: boolean): 200 | 500 => {
    request.ended = success ? "success" : "failure";
    return success ? 200 : 500;
  };
  const how = request.plan.ending;
  request.ended = "failure";
  if (how === "throws before its work") throw new Error("before");
  if (how === "answers 200 without its work") return end(true);
  request.ended = "not";
  try {
    await work();
  } catch (error) {
    request.ended = "failure";
    if (how !== "swallows the failure of its work") throw error;
    return end(true);
  }
  request.ended = "failure";
  if (how === "throws after its work") throw new Error("after");
  return end(how !== "answers 500 after its work");
}
