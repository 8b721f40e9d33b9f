import { ApiError } from "./api-error.ts";
import type { Job } from "./job.ts";
import type { FlowControlLimits } from "./message.ts";
import type { Time } from "./time.ts";

/** The limits of one flow-control key and the messages that they hold back. */
export interface FlowKey {
  readonly key: string;
  parallelism: number | undefined;
  rate: number | undefined;
  periodSeconds: number;
  paused: boolean;
  pinnedParallelism: boolean;
  pinnedRate: boolean;
  /** Deliveries in flight. */
  running: number;
  /** Deliveries that started in the current period. */
  rateCount: number;
  /** Milliseconds since the epoch. */
  periodStart: number;
  readonly held: Set<Job>;
}

/** New limits for a key; what is not named keeps its value. */
export type FlowControlChange = Partial<FlowControlLimits>;

export interface FlowControl {
  /** @throws ApiError 404 */
  get(key: string): FlowKey;
  list(): readonly FlowKey[];
  /** Takes over the limits that a published message carries, unless they are pinned. */
  configure(limits: { readonly key: string } & FlowControlLimits): void;
  /** Starts a delivery under the key, or answers false and holds the job back. */
  enter(job: Job): boolean;
  /** Ends a delivery that `enter` let through. */
  leave(job: Job): void;
  setPaused(key: string, paused: boolean): void;
  pin(key: string, change: FlowControlChange): void;
  unpin(key: string, which: { readonly parallelism: boolean; readonly rate: boolean }): void;
  resetRate(key: string): void;
}

export interface FlowControlOptions {
  readonly time: Time;
  /** Called with a job that may try again. */
  readonly release: (job: Job) => void;
}

export function createFlowControl({ time, release }: FlowControlOptions): FlowControl {
  const keys = new Map<string, FlowKey>();

  const getOrCreate = (key: string): FlowKey => {
    let flow = keys.get(key);
    if (flow === undefined) {
      flow = {
        key,
        parallelism: undefined,
        rate: undefined,
        periodSeconds: 1,
        paused: false,
        pinnedParallelism: false,
        pinnedRate: false,
        running: 0,
        rateCount: 0,
        periodStart: time.now(),
        held: new Set(),
      };
      keys.set(key, flow);
    }
    return flow;
  };

  const get = (key: string): FlowKey => {
    const flow = keys.get(key);
    if (flow === undefined) throw new ApiError(404, `flow control key "${key}" not found`);
    return flow;
  };

  const periodEnd = (flow: FlowKey): number => flow.periodStart + time.scale(flow.periodSeconds * 1000);

  const startPeriod = (flow: FlowKey): void => {
    flow.rateCount = 0;
    flow.periodStart = time.now();
  };

  const capacity = (flow: FlowKey): number => {
    if (flow.paused) return 0;
    if (time.now() >= periodEnd(flow)) startPeriod(flow);
    const byParallelism = (flow.parallelism ?? Number.POSITIVE_INFINITY) - flow.running;
    const byRate = (flow.rate ?? Number.POSITIVE_INFINITY) - flow.rateCount;
    return Math.min(byParallelism, byRate);
  };

  const releaseHeld = (flow: FlowKey): void => {
    const room = capacity(flow);
    const released: Job[] = [];
    for (const job of flow.held) {
      if (released.length >= room) break;
      released.push(job);
    }
    for (const job of released) flow.held.delete(job);
    for (const job of released) release(job);
    if (flow.held.size > 0) wakeAtPeriodEnd(flow);
  };

  const waking = new Set<FlowKey>();
  const wakeAtPeriodEnd = (flow: FlowKey): void => {
    if (flow.rate === undefined || flow.rateCount < flow.rate || waking.has(flow)) return;
    waking.add(flow);
    time.at(periodEnd(flow), () => {
      waking.delete(flow);
      releaseHeld(flow);
    });
  };

  return {
    get,
    list: () => [...keys.values()],
    configure({ key, parallelism, rate, periodSeconds }) {
      const flow = getOrCreate(key);
      if (!flow.pinnedParallelism) flow.parallelism = parallelism;
      if (!flow.pinnedRate) Object.assign(flow, { rate, periodSeconds });
      releaseHeld(flow);
    },
    enter(job) {
      const key = job.message.flowControl?.key;
      if (key === undefined) return true;
      const flow = getOrCreate(key);
      if (capacity(flow) > 0) {
        flow.running += 1;
        flow.rateCount += 1;
        return true;
      }
      flow.held.add(job);
      job.leave = () => flow.held.delete(job);
      wakeAtPeriodEnd(flow);
      return false;
    },
    leave(job) {
      const flow = keys.get(job.message.flowControl?.key ?? "");
      if (flow === undefined) return;
      flow.running -= 1;
      releaseHeld(flow);
    },
    setPaused(key, paused) {
      const flow = getOrCreate(key);
      flow.paused = paused;
      releaseHeld(flow);
    },
    pin(key, { parallelism, rate, periodSeconds }) {
      const flow = getOrCreate(key);
      if (parallelism !== undefined) Object.assign(flow, { parallelism, pinnedParallelism: true });
      if (rate !== undefined) Object.assign(flow, { rate, pinnedRate: true });
      if (periodSeconds !== undefined) Object.assign(flow, { periodSeconds, pinnedRate: true });
      startPeriod(flow);
      releaseHeld(flow);
    },
    unpin(key, { parallelism, rate }) {
      const flow = get(key);
      if (parallelism) flow.pinnedParallelism = false;
      if (rate) flow.pinnedRate = false;
    },
    resetRate(key) {
      const flow = get(key);
      startPeriod(flow);
      releaseHeld(flow);
    },
  };
}

/** A key as the API shows it: all fields, also those that are 0 or false. */
export function flowKeyView(flow: FlowKey): object {
  return {
    flowControlKey: flow.key,
    waitListSize: flow.held.size,
    parallelismMax: flow.parallelism ?? 0,
    parallelismCount: flow.running,
    rateMax: flow.rate ?? 0,
    rateCount: flow.rateCount,
    ratePeriod: flow.periodSeconds,
    ratePeriodStart: Math.floor(flow.periodStart / 1000),
    isPaused: flow.paused,
    isPinnedParallelism: flow.pinnedParallelism,
    isPinnedRate: flow.pinnedRate,
  };
}
