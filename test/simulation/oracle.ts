import type { CheckAnswer, DeadLetter, Event, Verdict } from "aftercommit";
import { call } from "./call.ts";
import { directions } from "./invariants/directions.ts";
import type { Directions } from "./invariants/directions.ts";
import { logWatch } from "./invariants/log.ts";
import type { LogWatch } from "./invariants/log.ts";
import { rowWatch } from "./invariants/rows.ts";
import type { RowWatch } from "./invariants/rows.ts";
import type { QStashMessage } from "./ports/qstash-server.ts";
import type { SqlServer } from "./ports/sql-server.ts";
import type { Process } from "./process.ts";
import type { World } from "./world.ts";

/** An invariant that did not hold. */
export interface Violation {
  /** Which one, in a few words that are the same for every run. */
  readonly invariant: string;
  readonly detail: string;
}

/** Sees all that happens, knows what may, and keeps what is needed to judge the end. */
export interface Oracle {
  /** The first violation. */
  readonly violation: Violation | undefined;
  violate(invariant: string, detail: string): void;
  readonly rows: RowWatch;
  readonly log: LogWatch;
  readonly directions: Directions;
  /** How often plain effects have happened, by consumer and message. */
  readonly plain: Map<string, number>;
  /** What answered with success, as `url messageId`. */
  readonly arrived: Set<string>;
  /** The transactions that a process has called a conflict, or told that it could not decide. */
  readonly flagged: Set<string>;
  /** When the check last denied a transaction. */
  readonly denied: Map<string, number>;
  /** What a person said of held transactions. */
  readonly judged: Map<string, Verdict>;
  /** What a person dropped, or sent as a new message, as `url messageId`; and the keys of all that a person touched. */
  readonly dropped: Set<string>;
  readonly touched: Set<string>;
  /** An observer's event. */
  told(process: Process, event: Event): void;
  /** QStash has taken a message, delivered one. */
  taken(message: QStashMessage): void;
  delivered(message: QStashMessage): void;
  /** A plain effect. */
  acted(consumer: string, messageId: string): void;
  /** A call of the log, or of a database, has acted. */
  logActed(name: string, args: readonly unknown[], result: unknown): void;
  sqlActed(server: SqlServer, name: string): void;
  /** The check of the level `checked`. */
  check(process: Process, transactionId: string): Promise<CheckAnswer>;
  /** A person is about to do something about a dead letter. */
  touches(letter: DeadLetter, drops: boolean): void;
}

/** Makes the oracle of a world. */
export function newOracle(worldOf: () => World): Oracle {
  let violation: Violation | undefined;
  const violate = (invariant: string, detail: string): void => {
    violation ??= { invariant, detail };
  };
  const rows = rowWatch(violate);
  const log = logWatch(violate);
  const oracle: Oracle = {
    get violation() {
      return violation;
    },
    violate,
    rows,
    log,
    directions: directions(violate, rows, log),
    plain: new Map(),
    arrived: new Set(),
    flagged: new Set(),
    denied: new Map(),
    judged: new Map(),
    dropped: new Set(),
    touched: new Set(),

    told(_process, event) {
      if (event.type === "conflict" || event.type === "undecided") oracle.flagged.add(event.transactionId);
      if (event.type === "undecodable") violate("every record can be read", event.record);
    },

    taken: (message) => oracle.directions.taken(message),

    delivered(message) {
      const delivery = oracle.directions.deliveryOf(message);
      if (delivery !== undefined) oracle.arrived.add(`${message.url} ${delivery.messageId}`);
    },

    acted(consumer, messageId) {
      const key = `${consumer} ${messageId}`;
      oracle.plain.set(key, (oracle.plain.get(key) ?? 0) + 1);
    },

    logActed: (name, args, result) => log.acted(worldOf(), name, args, result),

    sqlActed(server, name) {
      const world = worldOf();
      if (server === world.main) rows.acted(name, () => server.database.snapshot(), world);
    },

    check(process, transactionId) {
      const world = worldOf();
      const unsure = world.faults.percent(5);
      return call<CheckAnswer>(world, process, {
        port: "sql",
        name: "check",
        act() {
          if (world.main.down) throw new Error("the database is out of reach");
          if (unsure) return "unknown";
          if (rows.orders.has(transactionId)) return "committed";
          oracle.denied.set(transactionId, world.scheduler.now);
          return "rolledBack";
        },
      });
    },

    touches({ record }, drops) {
      oracle.touched.add(record.key);
      if (drops) oracle.dropped.add(`${record.destination} ${record.messageId}`);
    },
  };
  return oracle;
}
