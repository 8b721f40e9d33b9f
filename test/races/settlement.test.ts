import { array, asyncProperty, boolean, constantFrom, nat, scheduler } from "fast-check";
import type { Scheduler } from "fast-check";
import { describe, test } from "vitest";
import { freshRow } from "../../src/core/barrier-end.ts";
import { finishRows } from "../../src/core/outbox.ts";
import { buryInRow, redriveInRow } from "../../src/core/row-letters.ts";
import { memoryDatabase } from "../../src/memory/index.ts";
import type { MemoryDatabase } from "../../src/memory/index.ts";
import type { DecisionRow } from "../../src/model/barrier-row.ts";
import { currentRecord } from "../../src/model/barrier-row.ts";
import type { Barrier } from "../../src/ports/barrier.ts";
import { AT, sampleId, sampleRecords } from "../../src/testing/samples.ts";
import { alwaysHolds, holds, isCaught, race, raceWorld, scheduled, serviceOf, turn } from "./race.ts";

const ID = sampleId(1);
const SOURCE = "https://shop.example.com/";
const LEASE = 60_000;

const settledOnce = "in the end the row is settled, with a result for each delivery";
const stands = "what a report has buried stays dead until a person sends it again";
const sentAll = "each delivery is sent at least once";
const newest = "a delivery that a person sent again is told by its own epoch";

type Fault = "none" | "unreachable" | "replyLost";

/** A request, sweepers, a failure report and a person change one row. */
async function settling(
  s: Scheduler,
  sweepers: number,
  redrives: boolean,
  faults: readonly Fault[],
  settleOf: (database: MemoryDatabase) => Barrier["settle"],
): Promise<void> {
  const base = raceWorld();
  const main = memoryDatabase({ clock: base.clock });
  const row = async (): Promise<DecisionRow> => {
    const found = (await main.barrier.find([ID])).get(ID);
    if (found?.state !== "decided") throw new Error("expected a decision");
    return found.row;
  };
  const records = sampleRecords(2, { transactionId: ID, database: "main" });
  const decision = { transactionId: ID, source: SOURCE, records, at: AT, dueMillis: 0 };
  await main.write({ decision });
  for (const fault of faults) if (fault !== "none") base.transport.fail(fault);

  const watched = { ...main, barrier: { ...main.barrier, settle: settleOf(main) } };
  const as = (who: string) => {
    const database = scheduled(s, watched, who);
    return { database, core: serviceOf(base, { databases: { main: database } }).core };
  };
  const target = records[0]!;
  let buried = false;
  let redriven = false;
  let diedUnasked = false;

  const request = async (): Promise<void> => {
    const { core, database } = as("request");
    await finishRows(core, database, [freshRow(decision)]);
  };
  const sweeper = async (who: string): Promise<void> => {
    const { core, database } = as(who);
    const claimed = await database.barrier.claimUnsettled({
      source: SOURCE,
      limit: 10,
      leaseMillis: LEASE,
      token: who,
    });
    await finishRows(core, database, claimed.decided);
  };
  const report = async (): Promise<void> => {
    const { core } = as("report");
    await turn(s, "report");
    const delivery = { database: "main", row: freshRow(decision), record: target };
    const certificate = { reason: "failed", detail: "503: busy", buriedAt: AT } as const;
    buried = (await buryInRow(core, delivery, target, certificate)) === "buried";
    if (!redrives && buried) diedUnasked = (await row()).results[target.key]?.state !== "dead";
  };
  const person = async (): Promise<void> => {
    if (!redrives) return;
    const { core } = as("person");
    for (let i = 0; i < 3 && !redriven; i++) {
      await turn(s, "person");
      const current = await row();
      redriven = await redriveInRow(
        core,
        { database: "main", row: current, record: currentRecord(current, target) },
        "again",
      );
    }
  };
  const names = Array.from({ length: sweepers }, (_, i) => `sweeper ${i}`);
  await race(s, request(), report(), person(), ...names.map(sweeper));

  // All is quiet; a sweeper of its own finishes what is left.
  const { core } = serviceOf(base, { databases: { main } });
  for (let i = 0; i < 3; i++) {
    await base.clock.advance(10 * LEASE);
    const token = `last ${i}`;
    const claimed = await main.barrier.claimUnsettled({ source: SOURCE, limit: 10, leaseMillis: LEASE, token });
    await finishRows(core, main, claimed.decided);
  }
  const { results, settled } = await row();
  holds(settled && records.every(({ key }) => results[key] !== undefined), settledOnce);
  holds(!diedUnasked, stands);
  const result = results[target.key]!;
  if (buried && !redriven) holds(result.state === "dead", stands);
  if (redriven) holds(result.epoch === "again" && result.state === "published", newest);
  const sent = new Set(base.transport.accepted.map(({ record }) => record.key));
  holds(
    records.every(({ key }) => sent.has(key) || results[key]!.state === "dead"),
    sentAll,
  );
}

const faults = array(constantFrom<Fault>("none", "none", "unreachable", "replyLost"), { maxLength: 2 });
const property = (settleOf: (database: MemoryDatabase) => Barrier["settle"]) =>
  asyncProperty(scheduler(), nat(3), boolean(), faults, (s, sweepers, redrives, wrong) =>
    settling(s, sweepers, redrives, wrong, settleOf),
  );

describe("a request, sweepers, a failure report and a person change one row", () => {
  test(
    `${settledOnce}; ${stands}; ${newest}; ${sentAll}`,
    () =>
      alwaysHolds(
        property((database) => database.barrier.settle),
        500,
      ),
    120_000,
  );

  test(
    "an order is found in which a database shows that ignores what version a change was made from",
    () =>
      isCaught(
        property(({ barrier }) => async (changes) => {
          const found = await barrier.find([ID]);
          return barrier.settle(
            changes.map((change) => {
              const standing = found.get(ID);
              return standing?.state === "decided" ? { ...change, row: standing.row } : change;
            }),
          );
        }),
        new RegExp(`${stands}|${newest}`),
      ),
    120_000,
  );
});
