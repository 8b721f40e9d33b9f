import { ConfigurationError } from "../../src/errors.ts";
import { shardOf as partOf } from "../../src/model/shard.ts";

/** How the log lies in Redis. Fixed when a namespace is first used. */
export interface RedisStoreOptions {
  /** Keeps several deployments on one Redis apart. @default "aftercommit" */
  readonly namespace?: string;
  /**
   * Over how many slots the log is spread, 1 to 64; never change it for a namespace in use. On a Redis Cluster more
   * shards use more nodes; on Upstash each collection is bounded by 100 MB, about 90,000 unsettled messages of 1 KB.
   * @default 1
   */
  readonly shards?: number;
}

/** Every key of one shard; they share one hash tag, so that a script may touch several of them on a Cluster. */
export interface ShardKeys {
  /** Sorted set of unsettled records; the score says when each is due, see `score.ts`. */
  readonly due: string;
  /** Sorted set of decisions by transaction id: the time, positive for committed, negative for rolled back. */
  readonly decisions: string;
  /** Sorted set, all scores 0, so that it is ordered by key: records that wait for a person. */
  readonly held: string;
  /** Sorted set, all scores 0: dead letters. */
  readonly dead: string;
  /** Sorted set of deduplication ids of dead letters that were redriven or discarded, by time. */
  readonly left: string;
  /** A string that is there as long as nothing is lost. */
  readonly mark: string;
  /** The body of a record that is too large to lie in a sorted set; by deduplication id, so that no two epochs share one. */
  body(deduplicationId: string): string;
  /** The body of such a dead letter; by delivery key, as no delivery is dead twice. */
  deadBody(key: string): string;
  /** A string: the lease or the outcome of a message at a consumer. */
  inbox(consumer: string, messageId: string): string;
}

/** The keys of a namespace. */
export interface Keyspace {
  readonly shards: readonly ShardKeys[];
  shardOf(id: string): number;
  of(id: string): ShardKeys;
  /** A string: the data of a message that are too large to travel. Each has a hash tag of its own. */
  payload(key: string): string;
}

/** Lays out the keys of a namespace. */
export function keyspace(options: RedisStoreOptions = {}): Keyspace {
  const { namespace = "aftercommit", shards: count = 1 } = options;
  const problems = [];
  if (!/^[A-Za-z0-9_.-]{1,64}$/.test(namespace)) {
    problems.push({
      path: "log.namespace",
      expected: "1 to 64 letters, digits, '_', '.' or '-'",
      found: JSON.stringify(namespace),
      remedy: "Name it after the deployment.",
    });
  }
  if (!(Number.isInteger(count) && count >= 1 && count <= 64)) {
    problems.push({
      path: "log.shards",
      expected: "a whole number from 1 to 64",
      found: String(count),
      remedy: "Leave it out for 1.",
    });
  }
  if (problems.length > 0) throw new ConfigurationError(problems);
  const shards = Array.from({ length: count }, (_, shard) => shardKeys(`{${namespace}:${shard}}`));
  const shardOf = (id: string) => partOf(id, count);
  return { shards, shardOf, of: (id) => shards[shardOf(id)]!, payload: (key) => `{${namespace}:${key}}:payload` };
}

function shardKeys(tag: string): ShardKeys {
  return {
    due: `${tag}:due`,
    decisions: `${tag}:dec`,
    held: `${tag}:held`,
    dead: `${tag}:dead`,
    left: `${tag}:left`,
    mark: `${tag}:mark`,
    body: (deduplicationId) => `${tag}:body:${deduplicationId}`,
    deadBody: (key) => `${tag}:dead-body:${key}`,
    inbox: (consumer, messageId) => `${tag}:in:${escape(consumer)}:${escape(messageId)}`,
  };
}

/** Any text as letters that separate nothing; a surrogate that stands alone, which UTF-8 cannot hold, as `%u` and its code. */
function escape(text: string): string {
  return text.replace(/[\ud800-\udfff]|[^\ud800-\udfff]+/gu, (part) =>
    /^[\ud800-\udfff]$/u.test(part) ? `%u${part.charCodeAt(0).toString(16)}` : encodeURIComponent(part),
  );
}
