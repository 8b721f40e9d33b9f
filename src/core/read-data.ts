import { isEncrypted, isSealed } from "../model/envelope.ts";
import type { Envelope } from "../model/envelope.ts";
import { describeIssues } from "../model/standard-schema.ts";
import { versionOf } from "../model/topic.ts";
import type { Topic } from "../model/topic.ts";
import type { OpenedPayload } from "../ports/payload-codec.ts";
import { askPayloads } from "./ask.ts";
import type { Core } from "./core.ts";
import type { Consumption } from "./end-run.ts";

/** Why a message cannot be consumed, now or ever. */
export type Unread = Exclude<Consumption, { readonly status: "ack" }>;

/** What the topic's schema made of a message's data, or why it could not. */
export type Reading = { readonly data: unknown } | Unread;

/** When a message is looked at again that only a newer release, or one that is configured otherwise, can read. */
const DEPLOYMENT_MILLIS = 60_000;

/** Reads data that are there as they are, in a version that this consumer knows. */
export async function readPlain(topic: Topic, envelope: Envelope): Promise<Reading> {
  return topic.options.encrypted === true ? unencrypted() : upcasted(topic, envelope, false);
}

/** Whether what is not to be read at once stands in the way: it has to be opened, or another release has to read it. */
export function isReadLater(topic: Topic, envelope: Envelope): boolean {
  return isSealed(envelope) || isTooNew(topic, envelope);
}

/**
 * Reads any data, once the message is claimed: what was done before is a duplicate, whether or not it could still be read.
 * What a newer release has sent is left for it: a deployment is under way.
 */
export async function readData(core: Core, topic: Topic, envelope: Envelope): Promise<Reading> {
  const { payloads } = core;
  const { dataversion = 1 } = envelope;
  if (isTooNew(topic, envelope)) return later(`expected version ${versionOf(topic)} or earlier, found ${dataversion}`);
  if (!isSealed(envelope)) return readPlain(topic, envelope);
  const encrypted = isEncrypted(envelope);
  if (topic.options.encrypted === true && !encrypted) return unencrypted();
  if (payloads === undefined) return later("the data are sealed, and this service has no payloads configured");
  let opened: OpenedPayload;
  try {
    opened = await askPayloads(core, "a payload to be opened", () => payloads.open(envelope));
  } catch (error) {
    core.emit({ type: "background", error });
    return later("the payload store did not answer");
  }
  if (opened.status === "dead") return opened;
  if (opened.status === "retry") return { ...later(opened.reason), busy: opened.busy };
  return upcasted(topic, opened.envelope, encrypted);
}

function isTooNew(topic: Topic, { dataversion = 1 }: Envelope): boolean {
  return dataversion > versionOf(topic);
}

/** The data as the topic's schema sees them, through every version in between. What was encrypted is in no reason. */
async function upcasted(topic: Topic, envelope: Envelope, secret: boolean): Promise<Reading> {
  const { dataversion: found = 1, data } = envelope;
  const version = versionOf(topic);
  const { previous } = topic;
  let input = data;
  if (found < version) {
    if (previous === undefined) return dead(`expected version ${version} or later, found ${found}`);
    const old = await upcasted(previous.topic, envelope, secret);
    if (!("data" in old)) return old;
    try {
      input = await previous.upcast(old.data);
    } catch (error) {
      // Its message may hold data.
      const thrown = error instanceof Error ? error.name : typeof error;
      return dead(`the upcast to version ${version} threw ${thrown}`);
    }
  }
  const { issues, ...valid } = await topic.schema["~standard"].validate(input);
  if (issues === undefined) return { data: (valid as { readonly value: unknown }).value };
  const where = version === 1 ? "schema" : `schema of version ${version}`;
  return dead(`${where}: ${secret ? `${issues.length} issues, kept secret as the data are` : describeIssues(issues)}`);
}

function unencrypted(): Unread {
  return dead("expected encrypted data, found plain ones");
}

function dead(reason: string): Unread {
  return { status: "dead", reason };
}

function later(reason: string): Extract<Unread, { readonly status: "retry" }> {
  return { status: "retry", reason, busy: true, afterMillis: DEPLOYMENT_MILLIS };
}
