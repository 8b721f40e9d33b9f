import { Hono } from "hono";
import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import { aftercommit } from "aftercommit";
import type { Inbox } from "aftercommit";
import { memoryDatabase, memoryReceiver, memoryStore } from "aftercommit/memory";
import { directCalls, participant, participantRoutes } from "../../../src/patterns/index.ts";
import { simulatedClock } from "../../../src/testing/simulated-clock.ts";
import { newBranch, participantAt, SECRET } from "../../contract/participants/participant-under-test.ts";

const DAY = 86_400_000;

/** An inbox that a process has lost: no call of it comes back any more. */
function losing(inbox: Inbox, isLost: () => boolean): Inbox {
  return Object.fromEntries(
    Object.entries(inbox).map(([name, method]: [string, (...args: never[]) => Promise<unknown>]) => [
      name,
      (...args: never[]) => (isLost() ? new Promise(() => undefined) : method(...args)),
    ]),
  ) as unknown as Inbox;
}

describe("a participant without a database", () => {
  test("that dies in the middle of a try is cancelled once its lease is over, and never tries that branch again", async () => {
    const clock = simulatedClock();
    const { inbox } = memoryStore({ clock });
    const shared: string[] = [];
    let dead = false;
    const dying = participantAt({ inbox: losing(inbox, () => dead), clock }, shared);
    const alive = participantAt({ inbox, clock }, shared);
    const branch = newBranch();
    await new Promise<void>((entered) => {
      dying.hook = (_kind, _branch, when) => {
        if (when === "before") return undefined;
        dead = true;
        entered();
        return new Promise(() => undefined);
      };
      void dying.try(branch);
    });
    expect((await alive.deliver("cancel", branch)).status).toBe(500);
    expect((await alive.try(branch)).status).toBe(503);
    await clock.advance(31_000);
    expect((await alive.deliver("cancel", branch)).status).toBe(200);
    expect((await alive.try(branch)).status).toBe(409);
    expect(await alive.effects(branch)).toEqual(["try", "cancel"]);
  });

  test("that dies while it cancels is cancelled again", async () => {
    const clock = simulatedClock();
    const { inbox } = memoryStore({ clock });
    const shared: string[] = [];
    let dead = false;
    const dying = participantAt({ inbox: losing(inbox, () => dead), clock }, shared);
    const alive = participantAt({ inbox, clock }, shared);
    const branch = newBranch();
    await alive.try(branch);
    await new Promise<void>((entered) => {
      dying.hook = () => {
        dead = true;
        entered();
        return new Promise(() => undefined);
      };
      void dying.deliver("cancel", branch);
    });
    await clock.advance(31_000);
    expect((await alive.deliver("confirm", branch)).status).toBe(489);
    expect((await alive.deliver("cancel", branch)).status).toBe(200);
    expect(await alive.effects(branch)).toEqual(["try", "cancel"]);
  });
});

describe("the end of a branch", () => {
  test("that comes when the branch may have been forgotten goes to the dead letters, and is not taken for never tried", async () => {
    const clock = simulatedClock();
    const receiver = memoryReceiver();
    const { inbox } = memoryStore({ clock });
    const does: string[] = [];
    const stock = participant("stock", { schema: z.string() });
    const ac = aftercommit({
      publicUrl: "https://a.example.com",
      receiver,
      inbox,
      clock,
      calls: directCalls({ secrets: [SECRET] }),
    });
    const app = new Hono();
    const handle = (kind: string) => () => void does.push(kind);
    app.route("/stock", participantRoutes(ac, stock, { try: handle("try"), cancel: handle("cancel") }));
    const tried = clock.now();
    const cancel = async () => {
      const now = new Date(clock.now()).toISOString();
      const body = JSON.stringify({
        specversion: "1.0",
        id: `m-${now}`,
        source: "s",
        type: "stock.cancel",
        time: now,
        decidedat: now,
        datacontenttype: "application/json",
        transactionid: "tx",
        messageindex: 0,
        data: { transaction: "tx", branch: "tx_0", at: tried, data: "a" },
      });
      const url = "https://a.example.com/stock/cancel";
      return (await app.request(url, { method: "POST", body, headers: await receiver.sign(url, body) })).status;
    };
    await clock.advance(33 * DAY);
    expect(await cancel()).toBe(200);
    await clock.advance(1);
    expect(await cancel()).toBe(489);
    expect(does).toEqual([]);
  });
});

describe("a try with a database", () => {
  test("that does not use it is an error, as a cancel would not know of it", async () => {
    const { batch: _, ...main } = memoryDatabase();
    const p = participantAt({ database: main, inbox: memoryStore().inbox });
    const branch = newBranch();
    const { status } = await p.try(branch);
    expect(status).toBe(500);
    const failed = p.events.find(({ type }) => type === "consumeFailed");
    expect(failed).toMatchObject({ error: { code: "ERR_NOT_COMMITTED" } });
  });

  test("whose answer to COMMIT was lost is not known; the next attempt finds out", async () => {
    const main = memoryDatabase();
    const p = participantAt({
      database: main,
      insert: (sql, text) => (sql as { insert(key: string, value: unknown): Promise<void> }).insert(text, 1),
    });
    const branch = newBranch();
    main.fail("commitReplyLost");
    expect((await p.try(branch)).status).toBe(500);
    expect(await p.try(branch)).toMatchObject({ status: 200, body: { result: { did: "try" } } });
    expect([...main.table().keys()]).toEqual([`${branch} try`]);
  });

  test("a cancel whose own row is not known to be written is asked for again, and stays empty", async () => {
    const main = memoryDatabase();
    const p = participantAt({
      database: main,
      insert: (sql, text) => (sql as { insert(key: string, value: unknown): Promise<void> }).insert(text, 1),
    });
    const branch = newBranch();
    p.hook = () => {
      throw new Error("nothing was tried");
    };
    main.fail("commitReplyLost");
    expect((await p.deliver("cancel", branch)).status).toBe(500);
    expect((await p.deliver("cancel", branch)).status).toBe(200);
    expect((await p.try(branch)).status).toBe(409);
  });
});
