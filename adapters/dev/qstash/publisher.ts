import { sha256Hex } from "./bytes.ts";
import type { Deduplication } from "./deduplication.ts";
import { checkDestination, isUrl } from "./destination.ts";
import type { EventLog } from "./event-log.ts";
import { randomId } from "./ids.ts";
import type { Message, MessageConfig } from "./message.ts";
import { type ConfigRules, parseConfig } from "./publish-headers.ts";
import { redact } from "./redaction.ts";
import type { Turn } from "./queues.ts";
import type { Stats } from "./stats.ts";
import type { Time } from "./time.ts";
import type { UrlGroups } from "./url-groups.ts";

/** What a message has from where it was made, and not from its headers. */
export type Origin = Partial<Pick<Message, "queueName" | "scheduleId" | "topicName" | "endpointName">>;

export interface PublishRequest {
  /** A URL, or the name of a URL group. */
  readonly destination: string;
  readonly headers: Headers;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly origin?: Origin;
}

/** Messages that are complete and not accepted yet: one for a URL, one for each endpoint of a group. */
export interface Prepared {
  readonly toGroup: boolean;
  readonly drafts: readonly { readonly message: Message; readonly deduplicationKey?: string | undefined }[];
}

export interface PublishResult {
  readonly messageId: string;
  readonly deduplicated?: true;
  /** Only of a message to a URL group. */
  readonly url?: string;
}

/** Turns requests into pending messages. */
export interface Publisher {
  /**
   * Checks the request and builds its messages; nothing is accepted yet.
   *
   * @throws ApiError
   */
  prepare(request: PublishRequest): Promise<Prepared>;
  /**
   * Accepts prepared messages; a taken deduplication id yields the id of the message that took it. Atomic. A callback
   * is given the turn of the message that it tells about.
   */
  accept(prepared: Prepared, turn?: Turn): readonly PublishResult[];
}

export interface PublisherOptions extends ConfigRules {
  readonly time: Time;
  readonly urlGroups: UrlGroups;
  readonly deduplication: Deduplication;
  readonly log: EventLog;
  readonly stats: Stats;
  readonly add: (message: Message, turn: Turn | undefined) => void;
}

/** Who called: the server listens on loopback only. */
const CALLER_IP = "127.0.0.1";
const encoder = new TextEncoder();

export function createPublisher(options: PublisherOptions): Publisher {
  const { urlGroups, deduplication, log, stats, time, add } = options;

  const draft = async (url: string, headers: Headers, body: Uint8Array<ArrayBuffer>, origin: Origin) => {
    const config = parseConfig(headers, options);
    const createdAt = Math.floor(time.now());
    const message: Message = {
      ...config,
      ...origin,
      messageId: randomId("msg"),
      url: checkDestination(url, options.allowDestinations),
      body,
      createdAt,
      notBefore: Math.floor(notBefore(config, createdAt, time)),
      callerIP: CALLER_IP,
      sourceHeaders: headers,
      shown: await redact(config.redactFields, config.header, body),
    };
    return { message, deduplicationKey: await deduplicationKey(message) };
  };

  return {
    async prepare({ destination, headers, body, origin = {} }) {
      const group = isUrl(destination) ? undefined : urlGroups.find(destination);
      if (group === undefined) {
        return { toGroup: false, drafts: [await draft(destination, headers, body, origin)] };
      }
      const merged = new Headers(group.defaultHeaders);
      for (const [name, value] of headers) merged.set(name, value);
      const drafts = group.endpoints.map(({ url, name }) =>
        draft(url, merged, body, { ...origin, topicName: group.name, endpointName: name }),
      );
      return { toGroup: true, drafts: await Promise.all(drafts) };
    },
    accept: ({ toGroup, drafts }, turn) =>
      drafts.map(({ message, deduplicationKey: key }) => {
        const { messageId, url } = message;
        const holder = key === undefined ? messageId : deduplication.claim(key, messageId);
        const duplicate = holder !== messageId;
        if (duplicate) {
          stats.deduplicated += 1;
        } else {
          stats.published += 1;
          log.append("CREATED", message, { nextDeliveryTime: message.notBefore });
          add(message, turn);
        }
        return {
          messageId: holder,
          ...(toGroup ? { url } : {}),
          ...(duplicate ? { deduplicated: true as const } : {}),
        };
      }),
  };
}

function notBefore({ notBeforeSeconds, delayMillis }: MessageConfig, createdAt: number, time: Time): number {
  const waitMillis = notBeforeSeconds === undefined ? delayMillis : notBeforeSeconds * 1000 - createdAt;
  return time.dueAfter(waitMillis);
}

/**
 * What a duplicate has in common with its original: the id that the publisher gave or, if asked for, the content
 * (destination, body, content type and forwarded headers). For an endpoint of a group, its URL as well.
 */
async function deduplicationKey(message: Message): Promise<string | undefined> {
  const { deduplicationId, contentBasedDeduplication, topicName, url, header, body } = message;
  const scope = topicName === undefined ? "" : `:${url}`;
  if (deduplicationId !== undefined) return `${deduplicationId}${scope}`;
  if (!contentBasedDeduplication) return undefined;
  const sorted = Object.entries(header).sort(([a], [b]) => (a < b ? -1 : 1));
  const described = encoder.encode(JSON.stringify([url, sorted]));
  const content = new Uint8Array(described.length + body.length);
  content.set(described);
  content.set(body, described.length);
  return `content:${await sha256Hex(content)}${scope}`;
}
