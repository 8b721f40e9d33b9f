import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "@upstash/qstash";
import type { LogCounts } from "aftercommit";
import { readQStashLog } from "./qstash-log.ts";
import type { QStashLog } from "./qstash-log.ts";
import type { ShopProcess } from "./shop-process.ts";

const POLL_MILLIS = 200;

/**
 * Waits until nothing is left to do: the transaction log holds nothing unsettled or held, and QStash has no message on
 * its way. Resolves to what both say then.
 */
export async function settle(
  shop: ShopProcess,
  qstash: Client,
  onWait: (counts: LogCounts) => void,
): Promise<{ readonly counts: LogCounts; readonly log: QStashLog }> {
  for (;;) {
    const counts = await shop.counts();
    onWait(counts);
    if (counts.unsettled === 0 && counts.held === 0) {
      const log = await readQStashLog(qstash);
      if (log.underWay === 0) return { counts, log };
    }
    await sleep(POLL_MILLIS);
  }
}
