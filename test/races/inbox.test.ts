import { array, asyncProperty, constantFrom, nat, record, scheduler } from "fast-check";
import type { Scheduler } from "fast-check";
import { describe, test } from "vitest";
import { memoryDatabase, memoryStore } from "../../src/memory/index.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Inbox, InboxChildren, InboxClaim, InboxReader } from "../../src/ports/inbox.ts";
import { DEFAULT_START } from "../../src/testing/index.ts";
import { sampleId } from "../../src/testing/samples.ts";
import { alwaysHolds, holds, isCaught, race, scheduled, turn } from "./race.ts";

const LEASE = 1_000;
const PAST_LEASE = 1_500;
const RETENTION = 1_000_000;

type AnyInbox = Inbox & InboxReader;
type Make = (clock: Clock, s: Scheduler) => AnyInbox;

const INBOXES: readonly (readonly [name: string, make: Make])[] = [
  ["the memory store", (clock) => memoryStore({ clock }).inbox],
  ["the memory database", (clock) => memoryDatabase({ clock }).inbox],
];

/** What one run does with its message. */
const plans = array(
  record({
    ends: constantFrom("complete", "complete", "release", "crash"),
    renewals: nat(2),
    loses: nat(5),
  }),
  { minLength: 2, maxLength: 4 },
);
type Plan = typeof plans extends { generate: (...args: never[]) => { value: infer Value } } ? Value : never;

const one = "at most one run of a message completes";
const alone = "at most one run at a time holds the lease";
const same = "whoever is told that it is done is told what it came to";
const kept = "a message that no run completed can be run again";

/** Several runs of one message, while time passes. */
async function runs(s: Scheduler, plan: Plan, make: Make): Promise<void> {
  let now = DEFAULT_START;
  const inbox = make({ now: () => now, sleep: async () => {} }, s);
  const until = new Map<string, number>();
  const completed = new Set<string>();
  const told = new Set<string>();
  const claimOf = (token: string): InboxClaim => ({ consumer: "receipt", messageId: "m1", token });

  /** The inbox as it is, with a look at who holds what. */
  const watched: Inbox = {
    async claim(claim, millis) {
      const found = await inbox.claim(claim, millis);
      if (found.state === "claimed") {
        for (const [token, end] of until) holds(token === claim.token || end < now, alone);
        until.set(claim.token, now + millis);
      }
      return found;
    },
    async renew(claim, millis) {
      const held = await inbox.renew(claim, millis);
      if (held) until.set(claim.token, now + millis);
      return held;
    },
    async complete(claim, completion) {
      const found = await inbox.complete(claim, completion);
      until.delete(claim.token);
      if (found === "completed") completed.add(claim.token);
      return found;
    },
    async release(claim) {
      await inbox.release(claim);
      until.delete(claim.token);
    },
  };

  const run = async (number: number): Promise<void> => {
    const { ends, renewals, loses } = plan[number]!;
    const claim = claimOf(`run ${number}`);
    let calls = 0;
    const through = scheduled(s, watched, claim.token, () => ++calls === loses);
    const found = await through.claim(claim, LEASE);
    if (found.state === "done") told.add(found.outcome);
    if (found.state !== "claimed") return;
    for (let i = 0; i < renewals; i++) await through.renew(claim, LEASE);
    if (ends === "crash") return;
    if (ends === "release") await through.release(claim);
    else await through.complete(claim, { outcome: JSON.stringify(claim.token), retentionMillis: RETENTION });
  };
  const time = async (): Promise<void> => {
    for (let i = 0; i < 3; i++) {
      await turn(s, "time passes");
      now += PAST_LEASE;
    }
  };
  // A lost reply is the end of its run.
  const surely = (work: Promise<void>): Promise<void> =>
    work.catch((error: unknown) => {
      if (!String(error).includes("was lost")) throw error;
    });
  await race(s, time(), ...plan.map((_, number) => surely(run(number))));

  holds(completed.size <= 1, one);
  for (const outcome of told) holds(completed.has(JSON.parse(outcome) as string), same);
  now += PAST_LEASE;
  const last = inbox.claim(claimOf("last"), LEASE);
  await s.waitFor(last);
  holds((await last).state === (completed.size === 1 ? "done" : "claimed"), kept);
}

describe.each(INBOXES)("several runs of one message, in %s", (_, make) => {
  test(`${one}; ${alone}; ${kept}`, () =>
    alwaysHolds(asyncProperty(scheduler(), plans, (s, plan) => runs(s, plan, make))));
});

/** An inbox with a mistake: entries of one message, by hand. */
const wrongInbox =
  (mistake: "looks, then writes" | "completes blindly" | "releases blindly"): Make =>
  (clock, s) => {
    let entry: { token: string; until: number; outcome?: string } | undefined;
    const current = () => (entry === undefined || clock.now() > entry.until ? undefined : entry);
    return {
      async claim({ token }, millis) {
        const found = current();
        if (mistake === "looks, then writes") await turn(s, "the inbox waits");
        if (found?.outcome !== undefined) return { state: "done", outcome: found.outcome };
        if (found !== undefined && found.token !== token) return { state: "busy" };
        entry = { token, until: clock.now() + millis };
        return { state: "claimed" };
      },
      async renew({ token }, millis) {
        const found = current();
        if (found?.token !== token || found.outcome !== undefined) return false;
        found.until = clock.now() + millis;
        return true;
      },
      async complete({ token }, { outcome, retentionMillis }) {
        if (mistake !== "completes blindly" && current()?.token !== token) return "lost";
        entry = { token, until: clock.now() + retentionMillis, outcome };
        return "completed";
      },
      async release({ token }) {
        if (mistake === "releases blindly" || current()?.token === token) entry = undefined;
      },
      async look() {
        const found = current();
        if (found === undefined) return { state: "new" };
        return found.outcome === undefined ? { state: "leased", token: found.token } : { state: "done" };
      },
    };
  };

describe("an order is found in which a wrong inbox shows", () => {
  test.each([
    ["looks, then writes", new RegExp(`${alone}|${one}`)],
    ["completes blindly", new RegExp(`${one}|${same}`)],
    ["releases blindly", new RegExp(`${alone}|${kept}`)],
  ] as const)("one that %s", (mistake, invariant) =>
    isCaught(
      asyncProperty(scheduler(), plans, (s, plan) => runs(s, plan, wrongInbox(mistake))),
      invariant,
    ),
  );
});

const child = "what a run published is committed exactly where that run completed";
const fixed = "the decision about what it published never changes";

/** A run that publishes completes with its child, while a sweep asks whether it still can. */
async function childOfRun(
  s: Scheduler,
  sweeps: number,
  wrong: ((store: ReturnType<typeof memoryStore>) => InboxChildren) | undefined,
): Promise<void> {
  let now = DEFAULT_START;
  const store = memoryStore({ clock: { now: () => now, sleep: async () => {} } });
  const { rollBackLapsed } = wrong?.(store) ?? store.inbox;
  const claim = { consumer: "receipt", messageId: "m1", token: "run" };
  const transactionId = sampleId(1);
  await store.inbox.claim(claim, LEASE);
  const seen = new Set<string>();
  let outcome: string | undefined;

  const run = async (): Promise<void> => {
    const inbox = scheduled(s, { renew: store.inbox.renew, complete: store.inbox.complete }, "run");
    await inbox.renew(claim, LEASE);
    outcome = await inbox.complete(claim, {
      outcome: "null",
      retentionMillis: RETENTION,
      child: { transactionId, at: now },
    });
  };
  const sweeper = async (name: string): Promise<void> => {
    const verdict = await scheduled(s, { rollBackLapsed }, name).rollBackLapsed(claim, { transactionId, at: now });
    if (verdict !== undefined) seen.add(verdict);
  };
  const time = async (): Promise<void> => {
    await turn(s, "time passes");
    now += PAST_LEASE;
  };
  await race(s, run(), time(), ...Array.from({ length: sweeps }, (_, i) => sweeper(`sweeper ${i}`)));
  const decision = (await store.transactions.decisions([transactionId])).get(transactionId);
  if (decision !== undefined) seen.add(decision.verdict);
  holds(seen.size <= 1, fixed);
  holds((outcome === "completed") === (decision?.verdict === "committed"), child);
}

describe("a run completes with what it published, while a sweep asks for it", () => {
  test(`${child}; ${fixed}`, () =>
    alwaysHolds(asyncProperty(scheduler(), nat(3), (s, sweeps) => childOfRun(s, sweeps, undefined))));

  test("an order is found in which a sweep shows that looks at the lease, and decides after that", () =>
    isCaught(
      asyncProperty(scheduler(), nat(3), (s, sweeps) =>
        childOfRun(s, sweeps, (store) => ({
          async rollBackLapsed(claim, { transactionId, at }) {
            const found = await store.inbox.look(claim);
            await turn(s, "the sweep waits");
            if (found.state === "leased") return undefined;
            store.restore({
              ...store.snapshot(),
              decisions: [[transactionId, { verdict: "rolledBack", decidedAt: at }]],
            });
            return "rolledBack";
          },
        })),
      ),
      new RegExp(`${child}|${fixed}`),
    ));
});
