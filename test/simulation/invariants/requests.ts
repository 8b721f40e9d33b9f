import type { Verdict } from "aftercommit";
import type { Request, Sent } from "../plan.ts";
import { isDone } from "./effects.ts";
import { ROUTES } from "../topics.ts";
import type { World } from "../world.ts";

/** At `barrier`: the row in the database is the truth, and what goes out follows it, whatever befell Redis. */
export function checkBarrierRequest(world: World, request: Request, id: string): void {
  const { oracle } = world;
  const said = `request ${request.number} (${request.plan.route}, ${id})`;
  const committed = oracle.rows.orders.has(id);
  const verdict = oracle.rows.verdicts.get(id);
  if (request.told === "committed" && !committed) oracle.violate("a handler is told the truth", `${said}: committed`);
  if (request.told === "rolledBack" && committed) oracle.violate("a handler is told the truth", `${said}: rolled back`);
  if (committed !== (verdict === "committed"))
    oracle.violate("the row decides", `${said}: work ${committed ? "there" : "not there"}, row ${verdict}`);
  checkOut(world, request, id, committed ? "committed" : "rolledBack");
}

/** At `marked` and `checked`: what the documents promise, and no more. */
export function checkLoggedRequest(world: World, request: Request, id: string): void {
  const { oracle } = world;
  const { lost, verdicts } = oracle.log;
  if (lost.transactions.has(id)) return;
  const said = `request ${request.number} (${request.plan.route}, ${id})`;
  const [verdict] = verdicts.get(id) ?? [];
  const order = oracle.rows.orders.get(id);
  if (verdict === undefined) {
    if (request.ended === "success" && request.commits.length > 0) oracle.violate("what is prepared is decided", said);
    return checkNothing(world, id, said);
  }
  const byRequest: Verdict = request.ended === "success" ? "committed" : "rolledBack";
  const judged = oracle.judged.get(id);
  if (request.level === "marked") {
    if (verdict !== judged && (request.ended === "not" || verdict !== byRequest))
      oracle.violate("the answer or a person decides", `${said}: ${verdict}, ended as ${request.ended}`);
  } else if (verdict === "committed") {
    if (request.ended !== "success" && order === undefined && judged !== verdict)
      oracle.violate("the answer or the check decides", `${said}: committed, and its work is not there`);
  } else if (judged !== verdict) {
    const denied = oracle.denied.get(id);
    if (denied === undefined || (order !== undefined && order.at < denied))
      oracle.violate("the answer or the check decides", `${said}: rolled back, and its work was there`);
    else if (order !== undefined && request.ended === "success" && alive(request) && !oracle.flagged.has(id))
      oracle.violate("a late success is told of", said);
  }
  checkOut(world, request, id, verdict);
}

function alive({ process }: Request): boolean {
  return process?.alive === true;
}

/** What was decided for has gone out and arrived; nothing else has gone out. */
function checkOut(world: World, request: Request, id: string, verdict: Verdict): void {
  const { oracle } = world;
  const wanted = verdict === "committed" ? request.commits : request.undoes;
  const on = verdict === "committed" ? "commit" : "rollback";
  const known = new Set(wanted.map((sent) => sent.id));
  for (const delivery of oracle.directions.byTransaction.get(id) ?? []) {
    if (delivery.on !== on) oracle.violate("nothing goes out against the decision", `${delivery.topic} of ${id}`);
    else if (!known.has(delivery.messageId) && !(request.doubtful || on === "rollback"))
      oracle.violate("nothing else goes out", `${delivery.messageId} of request ${request.number}`);
  }
  for (const sent of wanted) checkArrival(world, sent, `request ${request.number} (${request.plan.route})`);
}

function checkNothing({ oracle }: World, id: string, said: string): void {
  const out = oracle.directions.byTransaction.get(id) ?? [];
  if (out.length > 0) oracle.violate("nothing goes out without a decision", said);
}

/** A message was done at each of its destinations, unless a person dropped it. */
function checkArrival(world: World, { id, topic }: Sent, said: string): void {
  const { oracle } = world;
  for (const url of ROUTES[topic]!) {
    if (!isDone(world, url, id) && !oracle.dropped.has(`${url} ${id}`))
      oracle.violate("what is committed arrives", `${topic} of ${said} never came to ${url}`);
  }
}
