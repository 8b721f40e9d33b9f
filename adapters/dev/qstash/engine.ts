import type { CancelMessage } from "./cancellation.ts";
import type { DeadLetters } from "./dead-letters.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { EventLog } from "./event-log.ts";
import type { FlowControl } from "./flow-control.ts";
import type { Publisher } from "./publisher.ts";
import type { Queues } from "./queues.ts";
import type { Schedules } from "./schedules.ts";
import type { KeyRing } from "./signing-keys.ts";
import type { UrlGroups } from "./url-groups.ts";

/** The parts behind the API: what the routes are made of. */
export interface Engine {
  readonly publisher: Publisher;
  readonly dispatcher: Dispatcher;
  readonly cancelMessage: CancelMessage;
  readonly queues: Queues;
  readonly schedules: Schedules;
  readonly urlGroups: UrlGroups;
  readonly flowControl: FlowControl;
  readonly deadLetters: DeadLetters;
  readonly log: EventLog;
  readonly keys: KeyRing;
  /** The largest body of a message. */
  readonly maxMessageBytes: number;
  readonly maxConcurrency: number;
}
