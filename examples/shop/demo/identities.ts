import type { WrittenEffect } from "./database.ts";
import { answerOf, CONSUMERS, isAnsweredAsPlanned } from "./facts.ts";
import type { Facts } from "./facts.ts";

/** One thing that must be true of the facts of any run. */
export interface Identity {
  readonly number: number;
  /** The same, in a word. */
  readonly name: "delivered" | "nothing else" | "answers" | "once" | "one way" | "dead" | "empty" | "decided";
  readonly claim: string;
  /** What was counted. */
  readonly figures: string;
  /** Whatever contradicts the claim, by its ids; it holds where there is none. */
  readonly offenders: readonly string[];
}

/** Checks every identity. */
export function checkIdentities(facts: Facts): readonly Identity[] {
  const index = indexOf(facts);
  return [
    deliveredOrDead(facts, index),
    nothingWithoutOrder(facts, index),
    answersAreTrue(facts, index),
    facts.decisions === undefined ? repeatedOnlyByKills(facts) : exactlyOnce(facts),
    silenceEndsOneWay(facts, index),
    onlyPoisonIsDead(facts, index),
    nothingIsLeft(facts),
    ...(facts.decisions === undefined ? [] : [decidedByCommit(facts, facts.decisions)]),
  ].map((identity, i) => ({ number: i + 1, ...identity }));
}

type Checked = Omit<Identity, "number">;

/** The facts, by what they are looked up by. */
interface Index {
  readonly byItem: ReadonlyMap<string, Facts["orders"][number]>;
  readonly transactionIds: ReadonlySet<string>;
  readonly sentItems: ReadonlyMap<string, string>;
  /** How the delivery of an order's message to a consumer ended. */
  readonly end: (order: Facts["orders"][number], consumer: string) => "done" | "dead" | "missing";
}

function indexOf({ orders, effects, messages, dead }: Facts): Index {
  const acted = new Set(effects.map(({ consumer, orderId, messageId }) => `${consumer} ${orderId} ${txOf(messageId)}`));
  const delivered = new Set(
    messages.filter((message) => message.delivered).map((message) => `${message.consumer} ${message.transactionId}`),
  );
  const buried = new Set(dead.map(({ consumer, transactionId }) => `${consumer} ${transactionId}`));
  return {
    byItem: new Map(orders.map((order) => [order.item, order])),
    transactionIds: new Set(orders.map((order) => order.transactionId)),
    sentItems: new Map(messages.map(({ item, transactionId }) => [item, transactionId])),
    end({ id, transactionId }, consumer) {
      if (buried.has(`${consumer} ${transactionId}`)) return "dead";
      const done = acted.has(`${consumer} ${id} ${transactionId}`) && delivered.has(`${consumer} ${transactionId}`);
      return done ? "done" : "missing";
    },
  };
}

function deliveredOrDead({ orders }: Facts, { end }: Index): Checked {
  const ends = orders.flatMap((order) => CONSUMERS.map((consumer) => ({ order, consumer, end: end(order, consumer) })));
  const count = (wanted: string): number => ends.filter((found) => found.end === wanted).length;
  return {
    name: "delivered",
    claim: "Every order's message is delivered to both consumers, or is dead and listed",
    figures: `${orders.length} orders × ${CONSUMERS.length} = ${count("done")} done + ${count("dead")} dead`,
    offenders: ends
      .filter((found) => found.end === "missing")
      .map(({ order, consumer }) => `order ${order.id} (transaction ${order.transactionId}) never reached ${consumer}`),
  };
}

function nothingWithoutOrder({ orders, messages, effects }: Facts, { transactionIds }: Index): Checked {
  const orderIds = new Set(orders.map(({ id }) => id));
  return {
    name: "nothing else",
    claim: "Nothing is sent for a transaction that wrote no order",
    figures: `${messages.length} messages and ${effects.length} effects, of ${orders.length} orders and no others`,
    offenders: [
      ...messages
        .filter(({ transactionId }) => !transactionIds.has(transactionId))
        .map(({ transactionId, consumer }) => `transaction ${transactionId} sent a message to ${consumer}`),
      ...effects
        .filter(({ orderId, messageId }) => !orderIds.has(orderId) || !transactionIds.has(txOf(messageId)))
        .map(
          ({ orderId, messageId, consumer }) => `message ${messageId} had an effect at ${consumer} (order ${orderId})`,
        ),
    ],
  };
}

function answersAreTrue({ placed }: Facts, { byItem, transactionIds }: Index): Checked {
  const answered = placed.filter(isAnsweredAsPlanned);
  const counts = { written: 0, refused: 0 };
  const offenders: string[] = [];
  for (const request of answered) {
    const { item, kind } = request.order;
    const { orderId, transactionId = "" } = answerOf(request);
    const written = byItem.get(item);
    if (kind === "refused") {
      counts.refused++;
      if (written !== undefined || transactionIds.has(transactionId))
        offenders.push(`${item} was refused (transaction ${transactionId}), and its order is there`);
      continue;
    }
    counts.written++;
    if (written === undefined) offenders.push(`${item} was answered, and its order ${orderId ?? ""} is not there`);
    else if (kind !== "throws" && (written.id !== orderId || written.transactionId !== transactionId))
      offenders.push(`${item} was answered with order ${orderId}, and is there as ${written.id}`);
  }
  return {
    name: "answers",
    claim: "What the sender was told is what the database says",
    figures: `${counts.written} answers whose order is there, ${counts.refused} refusals whose order is not`,
    offenders,
  };
}

/** At level `barrier`: an effect and the note that its message is done are one COMMIT. */
function exactlyOnce({ effects }: Facts): Checked {
  const times = new Map<string, number>();
  for (const { messageId, consumer } of effects) {
    const key = `message ${messageId} at ${consumer}`;
    times.set(key, (times.get(key) ?? 0) + 1);
  }
  return {
    name: "once",
    claim: "Every effect happened exactly once",
    figures: `${effects.length} effects of ${times.size} deliveries`,
    offenders: [...times]
      .filter(([, count]) => count > 1)
      .map(([key, count]) => `${key} had its effect ${count} times`),
  };
}

/** At level `checked`. */
function repeatedOnlyByKills({ effects, messages, killedBoots, consumersAtATime }: Facts): Checked {
  const runs = new Map<string, WrittenEffect[]>();
  for (const effect of effects) {
    const key = `message ${effect.messageId} at ${effect.consumer}`;
    runs.set(key, [...(runs.get(key) ?? []), effect]);
  }
  const cut = new Set(
    messages
      .filter(({ unanswered }) => unanswered > 0)
      .map(({ messageId, consumer }) => `message ${messageId} at ${consumer}`),
  );
  const offenders: string[] = [];
  let repeated = 0;
  for (const [key, same] of runs) {
    repeated += same.length - 1;
    const boots = same.map(({ boot }) => boot).toSorted((a, b) => Number(a) - Number(b));
    if (new Set(boots).size < boots.length) offenders.push(`${key} had its effect twice in one start of the shop`);
    const survived = boots.slice(0, -1).find((boot) => !killedBoots.has(boot));
    if (survived !== undefined) offenders.push(`${key} was repeated after start ${survived}, which was not killed`);
    if (boots.length > 1 && !cut.has(key)) offenders.push(`${key} was repeated although no run of it was cut off`);
  }
  const most = killedBoots.size * consumersAtATime;
  if (repeated > most) offenders.push(`${repeated} effects were repeated, more than ${most}`);
  return {
    name: "once",
    claim: "No effect is repeated, unless a kill cut its consumer off",
    figures: `${runs.size} effects + ${repeated} repeated, at most ${killedBoots.size} kills × ${consumersAtATime} consumers at a time = ${most}`,
    offenders,
  };
}

function silenceEndsOneWay({ placed }: Facts, { byItem, sentItems, end }: Index): Checked {
  const doubtful = placed.filter((request) => !isAnsweredAsPlanned(request));
  const offenders: string[] = [];
  let written = 0;
  for (const { order } of doubtful) {
    const { item } = order;
    const found = byItem.get(item);
    if (found === undefined) {
      const sent = sentItems.get(item);
      if (sent !== undefined) offenders.push(`${item} has no order, and transaction ${sent} sent its message`);
      continue;
    }
    written++;
    const missing = CONSUMERS.filter((consumer) => end(found, consumer) === "missing");
    if (missing.length > 0)
      offenders.push(`${item} has the order ${found.id}, and its message never reached ${missing.join(" and ")}`);
  }
  return {
    name: "one way",
    claim: "Every unanswered order ended one way: written and sent, or neither",
    figures: `${doubtful.length} unanswered = ${written} written and sent + ${doubtful.length - written} neither`,
    offenders,
  };
}

function onlyPoisonIsDead({ dead }: Facts, { byItem }: Index): Checked {
  const poison = byItem.get("poison")?.transactionId;
  const expected = poison === undefined ? [] : CONSUMERS.map((consumer) => `${consumer} ${poison}`);
  const found = new Set(dead.map(({ consumer, transactionId }) => `${consumer} ${transactionId}`));
  return {
    name: "dead",
    claim: "Exactly the poison order's deliveries are dead, and say why",
    figures: `${dead.length} dead${dead.length === 0 ? "" : `: ${[...new Set(dead.map(reasonOf))].join(", ")}`}`,
    offenders: [
      ...expected.filter((delivery) => !found.has(delivery)).map((delivery) => `${delivery} is not listed as dead`),
      ...dead
        .filter(({ consumer, transactionId }) => !expected.includes(`${consumer} ${transactionId}`))
        .map((delivery) => `${delivery.key} to ${delivery.consumer} is dead: ${reasonOf(delivery)}`),
      ...dead.filter(({ detail }) => detail === "").map(({ key }) => `${key} is dead and does not say why`),
    ],
  };
}

/** The consumer's own words where its answer is ours, else the answer. */
function reasonOf({ reason, detail }: Facts["dead"][number]): string {
  try {
    const { error } = JSON.parse(detail) as { error?: { reason?: string } };
    return `${reason} (${error?.reason ?? detail})`;
  } catch {
    return `${reason} (${detail})`;
  }
}

function nothingIsLeft({ counts }: Facts): Checked {
  const { unsettled, held } = counts;
  return {
    name: "empty",
    claim: "Nothing is left to be done at the end",
    figures: `${unsettled} unsettled, ${held} held`,
    offenders: [
      ...(unsettled === 0 ? [] : [`${unsettled} deliveries are unsettled`]),
      ...(held === 0 ? [] : [`${held} deliveries are held`]),
    ],
  };
}

/** At level `barrier`: an order and the decision about its messages are one COMMIT. */
function decidedByCommit({ orders }: Facts, decisions: readonly string[]): Checked {
  const decided = new Set(decisions);
  const written = new Set(orders.map(({ transactionId }) => transactionId));
  return {
    name: "decided",
    claim: "No order was in doubt at any time: its own COMMIT decided",
    figures: `${orders.length} orders, ${decisions.length} decisions`,
    offenders: [
      ...orders
        .filter(({ transactionId }) => !decided.has(transactionId))
        .map(({ id, transactionId }) => `order ${id} (transaction ${transactionId}) is there without a decision`),
      ...decisions
        .filter((transactionId) => !written.has(transactionId))
        .map((transactionId) => `transaction ${transactionId} is decided without its order`),
    ],
  };
}

/** The transaction that a message id begins with. */
function txOf(messageId: string): string {
  return messageId.split("_")[0]!;
}
