import { ApiError } from "./api-error.ts";
import type { Job } from "./job.ts";

/** A line of messages; `parallelism` of them are on their turn at a time, the next when one is done with its retries. */
export interface Queue {
  readonly name: string;
  readonly createdAt: number;
  updatedAt: number;
  parallelism: number;
  paused: boolean;
  /** Messages whose turn has not come, first come first. */
  readonly line: Set<Job>;
  /** On its turn and due, but the queue is paused. */
  readonly held: Set<Job>;
  /** Turns that are taken. */
  turns: number;
}

/** A place at the head of a queue: kept until its message and all callbacks of that message are settled. */
export interface Turn {
  readonly queue: Queue;
  /** Messages of this turn that are not settled. */
  open: number;
}

export interface Queues {
  /** @throws ApiError 400 for a bad name, 404 for one that is not there */
  get(name: string): Queue;
  list(): readonly Queue[];
  /** Makes the queue, with parallelism 1, if there is none. */
  getOrCreate(name: string): Queue;
  /** Creates or updates. */
  upsert(name: string, settings: { readonly parallelism?: number; readonly paused?: boolean }): Queue;
  /** Removes the queue and returns it, so that its line can be cancelled. */
  delete(name: string): Queue;
}

const NAME = /^[A-Za-z0-9_.-]+$/;

export function createQueues(now: () => number): Queues {
  const queues = new Map<string, Queue>();

  const get = (name: string): Queue => {
    checkName(name);
    const queue = queues.get(name);
    if (queue === undefined) throw new ApiError(404, `queue "${name}" not found`);
    return queue;
  };

  const getOrCreate = (name: string): Queue => {
    checkName(name);
    let queue = queues.get(name);
    if (queue === undefined) {
      const times = { createdAt: now(), updatedAt: now() };
      queue = { name, ...times, parallelism: 1, paused: false, line: new Set(), held: new Set(), turns: 0 };
      queues.set(name, queue);
    }
    return queue;
  };

  return {
    get,
    list: () => [...queues.values()],
    getOrCreate,
    upsert(name, { parallelism, paused }) {
      if (parallelism !== undefined && !(Number.isInteger(parallelism) && parallelism > 0)) {
        throw new ApiError(400, `invalid parallelism: expected a positive whole number, found "${parallelism}"`);
      }
      const queue = getOrCreate(name);
      queue.parallelism = parallelism ?? queue.parallelism;
      queue.paused = paused ?? queue.paused;
      queue.updatedAt = now();
      return queue;
    },
    delete(name) {
      const queue = get(name);
      queues.delete(name);
      return queue;
    },
  };
}

function checkName(name: string): void {
  if (!NAME.test(name)) {
    const rule = "queue names can only contain alphanumeric characters, hyphens, periods and underscores";
    throw new ApiError(400, `invalid queue name "${name}": ${rule}`);
  }
}

/** A queue as the API shows it. */
export function queueView({ name, createdAt, updatedAt, parallelism, paused, line, turns }: Queue): object {
  return { name, createdAt, updatedAt, parallelism, paused, lag: line.size + turns };
}
