import type { Completion, Inbox, InboxClaim, InboxReader } from "../ports/inbox.ts";
import type { LogStore } from "../ports/log-store.ts";
import { expectEqual, expectThat } from "./assert.ts";
import type { ContractRunner } from "./contract.ts";
import { AT, LONG, PAST_SHORT, sampleId, SHORT, TREACHEROUS_TEXTS } from "./samples.ts";
import { withStore } from "./store-under-test.ts";
import type { MakeStore, StoreUnderTest } from "./store-under-test.ts";

/** An inbox with what a suite may do to it from outside. */
export interface InboxUnderTest {
  /** The inbox, with its reader where there is one. */
  readonly inbox: Inbox & Partial<InboxReader>;
  /** Lets so much time pass on the inbox's own clock. */
  advance(millis: number): Promise<void>;
  /** Ends the inbox and what it holds. */
  dispose(): Promise<void>;
}

type Test = (name: string, run: (tested: InboxUnderTest) => Promise<void>) => void;

/** What every {@link Inbox} must do. */
export function inboxContract(runner: ContractRunner, make: () => Promise<InboxUnderTest>): void {
  const test: Test = (name, run) => {
    runner.test(name, async () => {
      const tested = await make();
      try {
        await run(tested);
      } finally {
        await tested.dispose();
      }
    });
  };
  leases(test);
  completes(test);
  fencesOff(test);
  keepsTexts(test);
}

/** What an {@link Inbox} that shares its store with a log must do besides. */
export function inboxChildrenContract(runner: ContractRunner, make: MakeStore): void {
  const test = (name: string, run: (tested: StoreUnderTest) => Promise<void>): void => {
    runner.test(name, () => withStore(make, run));
  };

  test("a completion commits what its run published, in the same act", async ({ store }) => {
    const { claim, child } = await claimWithChild(store);
    expectEqual(await store.inbox.complete(claim, { ...done("1"), child }), "completed", "the answer");
    expectEqual(await decisionOf(store, child.transactionId), { verdict: "committed", decidedAt: AT }, "the decision");
    expectEqual(
      await store.inbox.claim({ ...claim, token: "t2" }, LONG),
      { state: "done", outcome: "1" },
      "a duplicate",
    );
    expectEqual(await store.inbox.complete(claim, { ...done("1"), child }), "completed", "the completion sent again");
  });

  test("a run that lost its lease commits nothing", async ({ store, advance }) => {
    const { claim, child } = await claimWithChild(store, SHORT);
    await advance(PAST_SHORT);
    expectEqual(await store.inbox.complete(claim, { ...done("1"), child }), "lost", "after the lease lapsed");
    await store.inbox.claim({ ...claim, token: "t2" }, LONG);
    expectEqual(await store.inbox.complete(claim, { ...done("1"), child }), "lost", "while another runs");
    expectEqual(await decisionOf(store, child.transactionId), undefined, "the decision");
    expectThat(await store.inbox.renew({ ...claim, token: "t2" }, LONG), "the other's lease holds");
  });

  test("what a run published is not rolled back while it holds its lease", async ({ store }) => {
    const { claim, child } = await claimWithChild(store);
    expectEqual(await store.inbox.rollBackLapsed(claim, child), undefined, "the answer");
    expectEqual(await decisionOf(store, child.transactionId), undefined, "the decision");
    expectEqual(await store.inbox.complete(claim, { ...done("1"), child }), "completed", "its completion");
  });

  test("what a run published is rolled back once its lease is gone, whoever holds it then", async ({
    store,
    advance,
  }) => {
    const { claim, child } = await claimWithChild(store, SHORT);
    await advance(PAST_SHORT);
    await store.inbox.claim({ ...claim, token: "t2" }, LONG);
    expectEqual(await store.inbox.rollBackLapsed(claim, child), "rolledBack", "the answer");
    expectEqual(await store.inbox.rollBackLapsed(claim, child), "rolledBack", "the answer to the call sent again");
    expectEqual(await decisionOf(store, child.transactionId), { verdict: "rolledBack", decidedAt: AT }, "the decision");
    expectThat(await store.inbox.renew({ ...claim, token: "t2" }, LONG), "the other's lease holds");
  });

  test("a run completes no more after what it published was rolled back", async ({ store }) => {
    const { claim, child } = await claimWithChild(store);
    await store.transactions.decide(child.transactionId, "rolledBack", AT);
    expectEqual(await store.inbox.complete(claim, { ...done("1"), child }), "rolledBack", "the answer");
    expectEqual((await store.inbox.look(claim)).state, "leased", "the message");
    expectEqual((await decisionOf(store, child.transactionId))?.verdict, "rolledBack", "the decision");
  });

  test("what a run published stays committed when its lease is looked into after its completion", async ({ store }) => {
    const { claim, child } = await claimWithChild(store);
    await store.inbox.complete(claim, { ...done("1"), child });
    expectEqual(await store.inbox.rollBackLapsed(claim, { ...child, at: AT + 9 }), "committed", "the answer");
    expectEqual(await decisionOf(store, child.transactionId), { verdict: "committed", decidedAt: AT }, "the decision");
  });

  test("of a completion and a roll-back at once, one wins and both know", async ({ store, advance }) => {
    for (let n = 0; n < 10; n++) {
      const { claim, child } = await claimWithChild(store, SHORT, `m${n}`);
      if (n % 2 === 0) await advance(SHORT);
      const [completed, rolledBack] = await Promise.all([
        store.inbox.complete(claim, { ...done("1"), child }),
        store.inbox.rollBackLapsed(claim, child),
      ]);
      const verdict = (await decisionOf(store, child.transactionId))?.verdict;
      expectEqual(completed === "completed", verdict === "committed", "whether the run completed");
      expectThat(rolledBack === undefined || rolledBack === verdict, "the verdict that was told is in force");
    }
  });
}

function leases(test: Test): void {
  test("a new message is claimed, and busy for every other run", async ({ inbox }) => {
    const found = await Promise.all(
      Array.from({ length: 20 }, (_, n) => inbox.claim({ ...MESSAGE, token: `t${n}` }, LONG)),
    );
    const states = found.map(({ state }) => state).sort();
    expectEqual(states, [...Array.from({ length: 19 }, () => "busy"), "claimed"], "what twenty runs at once were told");
  });

  test("a claim that is sent again by the same run is claimed again", async ({ inbox }) => {
    await inbox.claim(FIRST, LONG);
    expectEqual(await inbox.claim(FIRST, LONG), { state: "claimed" }, "the second answer");
  });

  test("a lease that lapsed can be claimed by another run, and no longer renewed or completed", async (tested) => {
    const { inbox } = tested;
    await inbox.claim(FIRST, SHORT);
    await tested.advance(PAST_SHORT);
    expectEqual(await inbox.renew(FIRST, LONG), false, "a renewal of what lapsed");
    expectEqual(await inbox.complete(FIRST, done("1")), "lost", "a completion of what lapsed");
    expectEqual(await inbox.claim(SECOND, LONG), { state: "claimed" }, "another run's claim");
    expectEqual(await inbox.renew(FIRST, LONG), false, "a renewal of what is another's");
    expectEqual(await inbox.claim(FIRST, LONG), { state: "busy" }, "the first run's claim sent late");
  });

  test("a renewed lease holds beyond its first length", async (tested) => {
    const { inbox } = tested;
    await inbox.claim(FIRST, SHORT);
    const renewed = await inbox.renew(FIRST, LONG);
    await tested.advance(PAST_SHORT);
    // A slow machine may have let it lapse before it was renewed.
    if (!renewed) return;
    expectEqual(await inbox.claim(SECOND, LONG), { state: "busy" }, "another run's claim");
    expectThat(await inbox.renew(FIRST, LONG), "it can be renewed again");
    expectEqual(await inbox.complete(FIRST, done("1")), "completed", "its completion");
  });

  test("a released message can be claimed at once", async ({ inbox }) => {
    await inbox.claim(FIRST, LONG);
    await inbox.release(FIRST);
    await inbox.release(FIRST);
    expectEqual(await inbox.claim(SECOND, LONG), { state: "claimed" }, "another run's claim");
  });

  test("a look tells of new, leased and done messages and claims nothing", async (tested) => {
    const { inbox } = tested;
    if (inbox.look === undefined) return;
    expectEqual(await inbox.look(MESSAGE), { state: "new" }, "a new message");
    await inbox.claim(FIRST, LONG);
    expectEqual(await inbox.look(MESSAGE), { state: "leased", token: FIRST.token }, "a leased message");
    await inbox.complete(FIRST, done("1"));
    expectEqual(await inbox.look(MESSAGE), { state: "done" }, "a message that is done");
  });
}

function completes(test: Test): void {
  test("a message that is done answers with its outcome and is not run again", async ({ inbox }) => {
    await inbox.claim(FIRST, LONG);
    expectEqual(await inbox.complete(FIRST, done('{"paid":true}')), "completed", "the answer");
    const duplicate = { state: "done", outcome: '{"paid":true}' } as const;
    expectEqual(await inbox.claim(SECOND, LONG), duplicate, "another run's claim");
    expectEqual(await inbox.claim(FIRST, LONG), duplicate, "the same run's claim");
  });

  test("a completion that is sent again by the same run is completed again", async ({ inbox }) => {
    await inbox.claim(FIRST, LONG);
    await inbox.complete(FIRST, done("1"));
    expectEqual(await inbox.complete(FIRST, done("1")), "completed", "the second answer");
  });

  test("a message is forgotten after its retention, and not before", async (tested) => {
    const { inbox } = tested;
    const other = { consumer: "stock", messageId: "m1", token: "t1" };
    await inbox.claim(FIRST, LONG);
    await inbox.complete(FIRST, { outcome: "1", retentionMillis: SHORT });
    await inbox.claim(other, SHORT);
    await inbox.complete(other, done("1"));
    await tested.advance(PAST_SHORT);
    expectEqual(await inbox.claim(SECOND, LONG), { state: "claimed" }, "the message that is forgotten");
    const found = await inbox.claim({ ...other, token: "t2" }, LONG);
    expectThat(found.state !== "busy", "the lease is over");
  });

  test("a completion without a claim is lost and stores nothing", async ({ inbox }) => {
    expectEqual(await inbox.complete(FIRST, done("1")), "lost", "the answer");
    expectEqual(await inbox.claim(SECOND, LONG), { state: "claimed" }, "another run's claim");
  });
}

function fencesOff(test: Test): void {
  /** A run whose lease lapsed, and another one that holds it now. */
  const overtake = async (tested: InboxUnderTest): Promise<void> => {
    await tested.inbox.claim(FIRST, SHORT);
    await tested.advance(PAST_SHORT);
    await tested.inbox.claim(SECOND, LONG);
  };

  test("a stale completion is lost and disturbs neither the other's lease nor its outcome", async (tested) => {
    const { inbox } = tested;
    await overtake(tested);
    expectEqual(await inbox.complete(FIRST, done('"stale"')), "lost", "while the other runs");
    expectEqual(await inbox.claim(THIRD, LONG), { state: "busy" }, "a third run's claim");
    expectThat(await inbox.renew(SECOND, LONG), "the other's lease holds");
    expectEqual(await inbox.complete(SECOND, done('"right"')), "completed", "the other's completion");
    expectEqual(await inbox.complete(FIRST, done('"stale"')), "lost", "after the other is done");
    expectEqual(await inbox.claim(THIRD, LONG), { state: "done", outcome: '"right"' }, "a duplicate");
  });

  test("a stale release disturbs neither the other's lease nor its outcome", async (tested) => {
    const { inbox } = tested;
    await overtake(tested);
    await inbox.release(FIRST);
    expectEqual(await inbox.claim(THIRD, LONG), { state: "busy" }, "a third run's claim");
    expectEqual(await inbox.complete(SECOND, done("2")), "completed", "the other's completion");
    await inbox.release(FIRST);
    expectEqual(await inbox.complete(SECOND, done("2")), "completed", "the other's completion sent again");
    expectEqual(await inbox.claim(THIRD, LONG), { state: "done", outcome: "2" }, "a duplicate");
  });

  test("a release by the run that is done leaves its outcome", async ({ inbox }) => {
    await inbox.claim(FIRST, LONG);
    await inbox.complete(FIRST, done("1"));
    await inbox.release(FIRST);
    expectEqual(await inbox.claim(SECOND, LONG), { state: "done", outcome: "1" }, "a duplicate");
  });

  test("a release of a message that nobody claimed does nothing", async ({ inbox }) => {
    await inbox.release(FIRST);
    expectEqual(await inbox.claim(SECOND, LONG), { state: "claimed" }, "a claim");
  });
}

/** Names and ids that a store might take apart, confuse or pass on to its own language. */
const HOSTILE = [
  "a",
  "a:b",
  "b",
  "",
  ":",
  "a%3Ab",
  "%",
  "{x}",
  "}",
  "*",
  "?[a-z]",
  "\n",
  "\r\nSET x y\r\n",
  "\u0000",
  "'; drop table inbox; --",
  "a b",
  "https://shop.example.com/consumers/receipt",
  "🦊",
  "\ud83e",
  "\udd8a",
  "\ufffd",
  "%uD83E",
  "%ud83e",
  "__proto__",
  "x".repeat(500),
  `${"x".repeat(499)}y`,
];
/** Names that are URLs are longer than ids. */
const LONG_NAMES = ["x".repeat(2_000), `${"x".repeat(1_999)}y`];

function keepsTexts(test: Test): void {
  test("no two names or ids share an entry, whatever they contain", async ({ inbox }) => {
    const keys = HOSTILE.flatMap((text) => [
      { consumer: text, messageId: "m1" },
      { consumer: "receipt", messageId: text },
      { consumer: text, messageId: text },
    ]).concat([
      ...LONG_NAMES.map((consumer) => ({ consumer, messageId: "m1" })),
      { consumer: "a:b", messageId: "c" },
      { consumer: "a", messageId: "b:c" },
    ]);
    for (const [n, key] of keys.entries()) {
      expectEqual(await inbox.claim({ ...key, token: `t${n}` }, LONG), { state: "claimed" }, JSON.stringify(key));
    }
    for (const [n, key] of keys.entries()) {
      expectEqual(await inbox.complete({ ...key, token: `t${n}` }, done(String(n))), "completed", JSON.stringify(key));
    }
    for (const [n, key] of keys.entries()) {
      const found = await inbox.claim({ ...key, token: "another" }, LONG);
      expectEqual(found, { state: "done", outcome: String(n) }, JSON.stringify(key));
    }
  });

  test("an outcome comes back to the letter, whatever it looks like", async ({ inbox }) => {
    for (const [n, outcome] of TREACHEROUS_TEXTS.entries()) {
      const claim = { consumer: "receipt", messageId: `m${n}`, token: "t1" };
      await inbox.claim(claim, LONG);
      expectEqual(await inbox.complete(claim, done(outcome)), "completed", "the answer");
      expectEqual(await inbox.complete(claim, done(outcome)), "completed", "the answer to a completion sent again");
      expectEqual(await inbox.claim({ ...claim, token: "t2" }, LONG), { state: "done", outcome }, "a duplicate");
    }
  });
}

const MESSAGE = { consumer: "receipt", messageId: "m1" };
const FIRST: InboxClaim = { ...MESSAGE, token: "first" };
const SECOND: InboxClaim = { ...MESSAGE, token: "second" };
const THIRD: InboxClaim = { ...MESSAGE, token: "third" };

function done(outcome: string): Completion {
  return { outcome, retentionMillis: LONG };
}

/** A claimed message, and the id of a child that lies in the same part of the store. */
async function claimWithChild(
  store: LogStore,
  leaseMillis: number = LONG,
  messageId = "m1",
): Promise<{ claim: InboxClaim; child: { transactionId: string; at: number } }> {
  const claim = { consumer: "receipt", messageId, token: "t1" };
  await store.inbox.claim(claim, leaseMillis);
  const shard = store.shardOf(messageId);
  let number = 1;
  while (store.shardOf(childId(messageId, number)) !== shard) number++;
  return { claim, child: { transactionId: childId(messageId, number), at: AT } };
}

function childId(messageId: string, number: number): string {
  return `${sampleId(number)}-${messageId}`;
}

async function decisionOf(store: LogStore, id: string): Promise<{ verdict: string; decidedAt: number } | undefined> {
  return (await store.transactions.decisions([id])).get(id);
}
