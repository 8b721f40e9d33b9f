import type { QStashClientLike, QStashRequest } from "aftercommit/qstash";
import { call } from "../call.ts";
import type { Process } from "../process.ts";
import type { World } from "../world.ts";
import type { QStashServer } from "./qstash-server.ts";

/** What QStash refuses a call with. */
class QStashError extends Error {
  readonly status: number;
  readonly retryAfter: number | undefined;

  constructor(status: number, retryAfter?: number) {
    super(JSON.stringify({ error: `simulated ${status}` }));
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** What a refusal may be. That a message is refused for good is one case of many. */
const REFUSALS: readonly (() => QStashError)[] = [
  () => new QStashError(503),
  () => new QStashError(429),
  () => new QStashError(429, 7),
  () => new QStashError(500),
  () => new QStashError(401),
  () => new QStashError(400),
];

/** The client of QStash in a process: the real adapter stands on it, and calls QStash over a network. */
export function qstashClientOf(world: World, process: Process): QStashClientLike {
  const { qstash, faults } = world;
  return {
    http: {
      request: (request) =>
        call(world, process, {
          port: "qstash",
          name: `qstash.${request.path[1]}`,
          act: () => answer(qstash, request, () => faults.percent(2)),
          refuse() {
            throw REFUSALS[faults.below(REFUSALS.length)]!();
          },
        }),
    },
  };
}

function answer(qstash: QStashServer, request: QStashRequest, itemFails: () => boolean): unknown {
  const { path, method, query = {}, headers = {}, body = "" } = request;
  switch (`${method} ${path[1]}`) {
    case "POST publish":
      return qstash.accept(path.slice(2).join("/"), headers, body);
    case "POST batch":
      return (JSON.parse(body) as { destination: string; headers: Record<string, string>; body: string }[]).map(
        (item) => (itemFails() ? { error: "simulated" } : qstash.accept(item.destination, item.headers, item.body)),
      );
    case "GET events": {
      const wanted = new Set([query.label ?? []].flat());
      const state = query.state === "DELIVERED" ? "delivered" : "failed";
      const events = qstash.messages
        .filter((message) => message.state === state && message.labels.some((label) => wanted.has(label)))
        .map(({ labels }) => ({ state: query.state, label: labels.join(",") }));
      return { events };
    }
    case "GET dlq":
      return {
        messages: [...qstash.letters.values()]
          .filter(({ message }) => message.labels.includes(String(query.label)))
          .map(({ dlqId, message, status, response }) => ({
            dlqId,
            url: message.url,
            body: message.body,
            header: headerLists(message.headers),
            label: message.labels.join(","),
            failureCallback: message.failureCallback,
            responseStatus: status,
            responseBody: response,
          })),
      };
    case "DELETE dlq":
      if (!qstash.letters.delete(path[2]!)) throw new QStashError(404);
      return undefined;
    default:
      throw new Error(`Expected a call that QStash knows, found ${method} /${path.join("/")}.`);
  }
}

/** Headers as QStash shows them: each with a list of values. */
export function headerLists(headers: Readonly<Record<string, string>>): Record<string, string[]> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]]));
}
