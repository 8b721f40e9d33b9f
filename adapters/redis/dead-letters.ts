import { deduplicationId } from "../../src/model/delivery.ts";
import type { DeliveryRecord } from "../../src/model/delivery.ts";
import type { DeadLetter, DeadLetters } from "../../src/ports/dead-letters.ts";
import { evalCommand } from "./executor.ts";
import type { RedisExecutor } from "./executor.ts";
import type { Keyspace } from "./keys.ts";
import { encodeBody, encodeLetter, encodeMember, isLarge, rangeOfKey, rangeOfTransaction } from "./member.ts";
import { BURY, HOLD, RELEASE, UNBURY } from "./scripts.ts";
import { byShard } from "./transaction-log.ts";

/** What waits for a person, in Redis. */
export function redisDeadLetters(redis: RedisExecutor, keyspace: Keyspace): DeadLetters {
  /** Takes a letter out and, for a redrive, puts its successor in; both lie in one shard. */
  const unbury = async (letter: DeadLetter, successor: DeliveryRecord | undefined): Promise<boolean> => {
    const { record } = letter;
    const keys = keyspace.of(record.transactionId);
    const reply = await redis.execute(
      evalCommand(
        UNBURY,
        [keys.due, keys.dead, keys.left, keys.deadBody(record.key), keys.body(deduplicationId(successor ?? record))],
        [
          ...rangeOfKey(record.key),
          deduplicationId(record),
          successor === undefined ? "" : encodeMember(successor),
          successor !== undefined && isLarge(successor) ? encodeBody(successor) : "",
        ],
      ),
    );
    return Number(reply) === 1;
  };

  return {
    async bury(letter) {
      const { record } = letter;
      const keys = keyspace.of(record.transactionId);
      const reply = await redis.execute(
        evalCommand(
          BURY,
          [keys.due, keys.held, keys.dead, keys.left, keys.body(deduplicationId(record)), keys.deadBody(record.key)],
          [
            encodeMember(record),
            ...rangeOfKey(record.key),
            deduplicationId(record),
            encodeLetter(letter),
            isLarge(record) ? encodeBody(record) : "",
            letter.transportId === undefined ? "" : "1",
          ],
        ),
      );
      return Number(reply) === 1 ? "buried" : "ignored";
    },

    redrive: (letter, record) => unbury(letter, record),

    discard: (letter) => unbury(letter, undefined),

    async hold(claims) {
      let held = 0;
      for (const [keys, group] of byShard(keyspace, claims, (claim) => claim.record.transactionId)) {
        const args = group.flatMap(({ record, token }) => [encodeMember(record), String(token), record.transactionId]);
        held += Number(await redis.execute(evalCommand(HOLD, [keys.due, keys.decisions, keys.held], args)));
      }
      return held;
    },

    async release(transactionId) {
      const keys = keyspace.of(transactionId);
      const reply = await redis.execute(evalCommand(RELEASE, [keys.due, keys.held], rangeOfTransaction(transactionId)));
      return Number(reply);
    },
  };
}
