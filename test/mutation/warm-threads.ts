import type { Worker } from "node:worker_threads";
import { ThreadsPoolWorker } from "vitest/node";
import type { WorkerRequest } from "vitest/node";

/** After so many runs a thread is replaced, so that nothing piles up in it. */
const MOST_USES = 200;

/** What of vitest's thread is used here. */
interface Prototype {
  _thread: Worker | undefined;
  start(): Promise<void>;
  stop(): Promise<void>;
  send(message: WorkerRequest): void;
}

/**
 * Lets the tests of the next mutant run in the thread that has run those of the last one. A new thread for each would spend
 * most of its time on loading the library again, which is the same for all: what is mutated is switched on by a variable.
 */
export function keepThreadsWarm(): void {
  const prototype = ThreadsPoolWorker.prototype as unknown as Prototype;
  const { start, stop, send } = prototype;
  const uses = new WeakMap<Worker, number>();
  let parked: Worker | undefined;

  prototype.start = async function () {
    this._thread ??= parked;
    parked = undefined;
    await start.call(this);
    const thread = this._thread!;
    thread.ref();
    uses.set(thread, (uses.get(thread) ?? 0) + 1);
  };
  prototype.send = function (message) {
    const thread = this._thread!;
    if (message.type !== "stop" || isUsedUp(thread)) send.call(this, message);
    else thread.emit("message", { type: "stopped", __vitest_worker_response__: true });
  };
  prototype.stop = async function () {
    const thread = this._thread!;
    if (isUsedUp(thread)) return stop.call(this);
    for (const event of ["message", "error", "exit"]) thread.removeAllListeners(event);
    thread.stdout.unpipe();
    thread.stderr.unpipe();
    thread.unref();
    parked = thread;
    this._thread = undefined;
  };

  function isUsedUp(thread: Worker): boolean {
    return (uses.get(thread) ?? 0) >= MOST_USES;
  }
}
