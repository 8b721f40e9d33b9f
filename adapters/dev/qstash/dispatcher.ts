import type { FlowControl } from "./flow-control.ts";
import type { Job } from "./job.ts";
import type { Message } from "./message.ts";
import type { Queue, Queues, Turn } from "./queues.ts";
import type { Time } from "./time.ts";

/** What follows an attempt. */
export type Verdict = { readonly kind: "settled" } | { readonly kind: "retry"; readonly dueAt: number };

/** What a cancellation found: a job that will not go out any more, one that may be too late for, or none. */
export type Cancellation = "cancelled" | "requested" | "notFound";

/** Decides when each pending message goes out, and in which order. */
export interface Dispatcher {
  /** Takes in an accepted message; a callback is given the turn of the message that it tells about. */
  add(message: Message, turn?: Turn): void;
  find(messageId: string): Job | undefined;
  /** Every pending job, in the order in which the messages were accepted. */
  jobs(): readonly Job[];
  cancel(messageId: string): Cancellation;
  /** Looks again at a queue whose settings changed. */
  wakeQueue(queue: Queue): void;
  /** Looks again at a job that flow control held back. */
  wakeJob(job: Job): void;
  /** Deliveries in flight. */
  inFlight(): number;
  /** Resolves when nothing is in flight and nothing is due; what waits for its time or is held back does not count. */
  idle(): Promise<void>;
  /** Starts no more deliveries; resolves when those in flight have ended. */
  stop(): Promise<void>;
}

export interface DispatcherOptions {
  readonly time: Time;
  readonly queues: Queues;
  readonly flowControl: FlowControl;
  readonly maxConcurrency: number;
  /** Makes one attempt, with all that follows it. It never rejects. */
  readonly deliver: (job: Job) => Promise<Verdict>;
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { time, queues, flowControl, maxConcurrency, deliver } = options;
  const pending = new Map<string, Job>();
  const ready = new Set<Job>();
  const waiting = new Set<Job>();
  let inFlight = 0;
  let stopped = false;
  let idlers: (() => void)[] = [];

  const enter = (job: Job, phase: Job["phase"], leave?: () => void): void => {
    job.leave?.();
    delete job.leave;
    job.phase = phase;
    if (leave !== undefined) job.leave = leave;
  };

  const isBusy = (): boolean => inFlight > 0 || (ready.size > 0 && !stopped);

  const settleIdlers = (): void => {
    if (idlers.length === 0 || isBusy()) return;
    // What is due goes out now even if its timer is late: on a simulated clock, nobody fires it while they wait here.
    const due = stopped ? [] : [...waiting].filter((job) => job.dueAt <= time.now());
    for (const job of due) makeReady(job);
    if (isBusy()) return;
    const resolved = idlers;
    idlers = [];
    for (const resolve of resolved) resolve();
  };

  const wait = (job: Job): void => {
    if (job.dueAt <= time.now()) return makeReady(job);
    const cancelTimer = time.at(job.dueAt, () => {
      makeReady(job);
      settleIdlers();
    });
    waiting.add(job);
    enter(job, "waiting", () => {
      waiting.delete(job);
      cancelTimer();
    });
  };

  const makeReady = (job: Job): void => {
    enter(job, "ready", () => ready.delete(job));
    ready.add(job);
    pump();
  };

  const pump = (): void => {
    for (const job of ready) {
      if (stopped || inFlight >= maxConcurrency) return;
      const queue = job.turn?.queue;
      if (queue?.paused) {
        enter(job, "held", () => queue.held.delete(job));
        queue.held.add(job);
        continue;
      }
      enter(job, "held");
      if (flowControl.enter(job)) void start(job);
    }
  };

  const start = async (job: Job): Promise<void> => {
    enter(job, "inFlight");
    inFlight += 1;
    const verdict = await deliver(job);
    inFlight -= 1;
    flowControl.leave(job);
    if (verdict.kind === "settled") {
      settle(job);
    } else {
      job.retried += 1;
      job.dueAt = verdict.dueAt;
      wait(job);
    }
    pump();
    settleIdlers();
  };

  const settle = (job: Job): void => {
    job.leave?.();
    pending.delete(job.message.messageId);
    const { turn } = job;
    if (turn === undefined) return;
    turn.open -= 1;
    if (turn.open > 0) return;
    turn.queue.turns -= 1;
    advance(turn.queue);
  };

  const advance = (queue: Queue): void => {
    for (const job of queue.line) {
      if (queue.paused || queue.turns >= queue.parallelism) return;
      queue.turns += 1;
      job.turn = { queue, open: 1 };
      wait(job);
    }
  };

  return {
    add(message, turn) {
      const job: Job = {
        message,
        phase: "lined",
        retried: 0,
        dueAt: message.notBefore,
        cancelRequested: false,
        ...(turn === undefined ? {} : { turn }),
      };
      pending.set(message.messageId, job);
      if (turn !== undefined) turn.open += 1;
      if (message.flowControl !== undefined) flowControl.configure(message.flowControl);
      if (turn !== undefined || message.queueName === undefined) return wait(job);
      const queue = queues.getOrCreate(message.queueName);
      queue.line.add(job);
      enter(job, "lined", () => queue.line.delete(job));
      advance(queue);
    },
    find: (messageId) => pending.get(messageId),
    jobs: () => [...pending.values()],
    cancel(messageId) {
      const job = pending.get(messageId);
      if (job === undefined) return "notFound";
      if (job.phase === "inFlight") {
        job.cancelRequested = true;
        return "requested";
      }
      settle(job);
      settleIdlers();
      return "cancelled";
    },
    wakeQueue(queue) {
      if (queue.paused) return;
      for (const job of queue.held) makeReady(job);
      advance(queue);
    },
    wakeJob: makeReady,
    inFlight: () => inFlight,
    idle: () =>
      new Promise((resolve) => {
        idlers.push(resolve);
        settleIdlers();
      }),
    stop() {
      stopped = true;
      return new Promise((resolve) => {
        idlers.push(resolve);
        settleIdlers();
      });
    },
  };
}
