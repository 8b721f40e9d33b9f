import type { Process } from "./process.ts";

/** Something that happens at a moment; it can be called off. */
export interface Happening {
  /** When; later, where its owner stands still then. */
  at: number;
  /** Settles which of two at the same moment is first. */
  readonly order: number;
  /** Whose it is: what a dead process waited for never comes. */
  readonly owner: Process | undefined;
  readonly name: string;
  readonly happen: () => void;
  off: boolean;
}

/** Virtual time, and what is to happen in it: one thing at a time, with a turn of the event loop after each. */
export interface Scheduler {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** How much has happened. */
  readonly steps: number;
  /** A hash over all that has happened, in its order. */
  readonly trace: string;
  /** Lets something happen after `millis`. */
  after(millis: number, name: string, happen: () => void, owner?: Process): Happening;
  /** Adds to the trace. */
  note(what: string): void;
  /** Lets things happen until nothing is left, `until` says so, or there were too many. */
  run(until: () => boolean): Promise<"ended" | "endless">;
}

/** 2027-01-15T08:00:00Z. */
const START = 1_800_000_000_000;
/** As many turns as are asked of the event loop at once: cheaper than one by one, and one after the other all the same. */
const TURNS_AT_ONCE = 32;

/** How a scheduler runs. */
export interface SchedulerOptions {
  /** No run takes so many steps. @default 30_000 */
  readonly maxSteps?: number;
  /** How many turns of the event loop come between two steps; one is enough, which a test proves by asking for more. @default 1 */
  readonly turns?: number;
  /** Told of all that happens, in words. */
  readonly watch?: ((line: string) => void) | undefined;
}

/** Makes one. */
export function scheduler({ maxSteps = 10_000, turns = 1, watch }: SchedulerOptions = {}): Scheduler {
  const heap: Happening[] = [];
  let now = START;
  let order = 0;
  let steps = 0;
  let hash = 0x811c9dc5;
  let second = 0x1b873593;

  const mix = (value: number): void => {
    hash = Math.imul(hash ^ value, 0x01000193);
    second = Math.imul((second << 5) ^ (second >>> 27) ^ value, 0x85ebca6b);
  };
  const note = (what: string): void => {
    watch?.(`    ${what}`);
    for (let i = 0; i < what.length; i++) mix(what.charCodeAt(i));
  };

  const next = (): Happening | undefined => {
    for (let first = pop(heap); first !== undefined; first = pop(heap)) {
      const { owner } = first;
      if (first.off || owner?.alive === false) continue;
      if (owner === undefined || owner.pausedUntil <= first.at) return first;
      push(heap, Object.assign(first, { at: owner.pausedUntil }));
    }
    return undefined;
  };

  return {
    get now() {
      return now;
    },
    get steps() {
      return steps;
    },
    get trace() {
      return (hash >>> 0).toString(16).padStart(8, "0") + (second >>> 0).toString(16).padStart(8, "0");
    },
    note,
    after(millis, name, happen, owner) {
      const happening = { at: now + Math.max(0, millis), order: order++, owner, name, happen, off: false };
      push(heap, happening);
      return happening;
    },
    run: (until) =>
      new Promise((resolve, reject) => {
        let asked = 0;
        let between = 0;
        let ended = false;
        const end = (how: "ended" | "endless"): void => {
          ended = true;
          resolve(how);
        };
        const step = (): void => {
          if (until()) return end("ended");
          const happening = next();
          if (happening === undefined) return end("ended");
          if (++steps > maxSteps) return end("endless");
          now = happening.at;
          mix(now - START);
          mix(happening.owner?.number ?? 0);
          mix(nameHash(happening.name));
          watch?.(`${((now - START) / 1_000).toFixed(3)} ${happening.owner?.number ?? "-"} ${happening.name}`);
          happening.happen();
        };
        const ask = (): void => {
          asked = TURNS_AT_ONCE;
          for (let i = 0; i < TURNS_AT_ONCE; i++) setImmediate(turn);
        };
        const turn = (): void => {
          if (ended) return;
          try {
            if (++between >= turns) {
              between = 0;
              step();
            }
          } catch (error) {
            ended = true;
            reject(error);
          }
          if (--asked === 0 && !ended) ask();
        };
        ask();
      }),
  };
}

const nameHashes = new Map<string, number>();

function nameHash(name: string): number {
  let hash = nameHashes.get(name);
  if (hash === undefined) {
    hash = 7;
    for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0;
    nameHashes.set(name, hash);
  }
  return hash;
}

function isBefore(a: Happening, b: Happening): boolean {
  return a.at === b.at ? a.order < b.order : a.at < b.at;
}

function push(heap: Happening[], item: Happening): void {
  let at = heap.push(item) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(item, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = item;
}

function pop(heap: Happening[]): Happening | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (first === undefined || last === undefined || heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
    if (!isBefore(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return first;
}
