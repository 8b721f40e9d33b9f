/** The embedded QStash and Redis, as a process of their own: prints where they are, in one line of JSON, and runs on. */
import { startDevServer } from "aftercommit/dev";
import { DUPLICATE_RATE } from "./infrastructure.ts";

/** More than on QStash's smallest plan: a message of the demo meets the shop down at many of its attempts. */
const RETRIES_LIMIT = 20;

const { qstash, redis } = await startDevServer({
  qstash: { duplicateRate: DUPLICATE_RATE, retriesLimit: RETRIES_LIMIT },
});
const { url, token, currentSigningKey, nextSigningKey } = qstash;
process.stdout.write(
  `${JSON.stringify({
    qstash: { url, token, currentSigningKey, nextSigningKey },
    redis: { url: redis.url, token: redis.token },
  })}\n`,
);
