import type { Figures } from "./figures.ts";
import type { Identity } from "./identities.ts";

const LABELS: Readonly<Record<keyof Figures, string>> = {
  ordersSent: "orders sent",
  ordersCommitted: "orders committed",
  unanswered: "unanswered: the shop was killed before it answered",
  answeredOtherwise: "answered with an unexpected error",
  inDoubt: "in doubt: the outcome had to be found out afterwards",
  committedByCheckBack: "  resolved by check-back: committed",
  rolledBackByCheckBack: "  resolved by check-back: rolled back",
  messagesPublished: "messages published",
  publishedByRecovery: "  of these handed over by recovery",
  messagesDelivered: "messages delivered",
  lost: "  lost",
  phantoms: "  phantom: of an order that is not there",
  effects: "effects",
  effectsDoubled: "  doubled",
  duplicatesSuppressed: "duplicates suppressed",
  consumerRetries: "consumer retries",
  retriesUnanswered: "  of these because the shop was down or killed",
  dead: "dead",
  kills: "kills",
  seconds: "seconds",
};

/** What happened, as a table. */
export function figureTable(figures: Figures): string {
  const rows = Object.entries(LABELS).map(([name, label]) => [label, String(figures[name as keyof Figures])] as const);
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `  ${label.padEnd(width)}  ${value.padStart(5)}\n`).join("");
}

/** The offenders that are named; the rest are counted. */
const MOST_OFFENDERS = 10;

/** The identities, each with its mark, its figures, and who contradicts it. */
export function identityList(identities: readonly Identity[]): string {
  return identities
    .map(({ number, claim, figures, offenders }) => {
      const named = offenders.slice(0, MOST_OFFENDERS).map((offender) => `      ${offender}\n`);
      const more = offenders.length > MOST_OFFENDERS ? `      and ${offenders.length - MOST_OFFENDERS} more\n` : "";
      return `  ${offenders.length === 0 ? "✓" : "✗"} ${number}. ${claim}\n      ${figures}\n${named.join("")}${more}`;
    })
    .join("");
}
