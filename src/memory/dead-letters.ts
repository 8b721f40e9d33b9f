import { deduplicationId } from "../model/delivery.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import type { Clock } from "../ports/clock.ts";
import type { DeadLetter, DeadLetters } from "../ports/dead-letters.ts";
import { identity } from "./state.ts";
import type { MemoryState } from "./state.ts";

/** What waits for a person, in memory. */
export function memoryDeadLetters(state: MemoryState, clock: Clock): DeadLetters {
  const putDue = (record: DeliveryRecord): void => {
    const id = identity(record);
    if (!state.due.has(id)) state.due.set(id, { record, mark: "half", attempts: 0, dueAt: clock.now() });
  };

  /** Takes a letter out; `undefined` where it has left already, `false` where it never was there. */
  const take = ({ record }: DeadLetter): boolean | undefined => {
    const id = deduplicationId(record);
    if (state.left.has(id)) return undefined;
    if (!state.dead.delete(record.key)) return false;
    state.left.set(id, clock.now());
    return true;
  };

  return {
    async bury(letter) {
      const { record } = letter;
      if (state.left.has(deduplicationId(record))) return "ignored";
      const standing = state.dead.get(record.key);
      if (standing === undefined || tellsMore(letter, standing)) state.dead.set(record.key, letter);
      state.due.delete(identity(record));
      state.held.delete(identity(record));
      return "buried";
    },

    async redrive(letter, record) {
      const taken = take(letter);
      if (taken === true) putDue(record);
      return taken ?? state.due.has(identity(record));
    },

    async discard(letter) {
      return take(letter) === true;
    },

    async hold(claims) {
      let held = 0;
      for (const { record, token } of claims) {
        const id = identity(record);
        if (state.due.get(id)?.token !== token || state.decisions.has(record.transactionId)) continue;
        state.due.delete(id);
        state.held.set(id, record);
        held++;
      }
      return held;
    },

    async release(transactionId) {
      let released = 0;
      for (const [id, record] of state.held) {
        if (record.transactionId !== transactionId) continue;
        state.held.delete(id);
        putDue(record);
        released++;
      }
      return released;
    },
  };
}

/** The transport's own account of a failure takes the place of one that does not know the transport's id of it. */
function tellsMore(letter: DeadLetter, standing: DeadLetter): boolean {
  return letter.transportId !== undefined && standing.transportId === undefined && standing.reason === "failed";
}
