import { createClient } from "redis";
import { afterAll, describe } from "vitest";
import { redis } from "../../../adapters/redis/index.ts";
import { startRedisServer } from "../../support/redis-server.ts";
import { participantSuite } from "./suite.ts";

const server = await startRedisServer();
const client = createClient({ url: `redis://127.0.0.1:${server?.port ?? 0}` });

afterAll(async () => {
  if (client.isOpen) client.destroy();
  await server?.stop();
});

let namespaces = 0;

describe.skipIf(server === undefined)("a participant whose branches are kept in a real Redis", () => {
  participantSuite(async () => {
    if (!client.isOpen) await client.connect();
    return { inbox: redis(client, { namespace: `participant-${++namespaces}` }).inbox };
  });
});

describe.skipIf(server === undefined)("a participant whose branches are kept in a Redis with four shards", () => {
  participantSuite(async () => {
    if (!client.isOpen) await client.connect();
    return { inbox: redis(client, { namespace: `participant-${++namespaces}`, shards: 4 }).inbox };
  });
});
