import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import type { Task, TaskResult } from "./worker.ts";

/** Processes that run seeds side by side. */
export interface Pool {
  /** Runs tasks, each on the first process that is free; `enough` says when no more are begun. */
  run(tasks: Iterable<Task>, each: (result: TaskResult, task: Task) => void, enough?: () => boolean): Promise<void>;
  close(): void;
}

/** Starts one process for each processor. */
export function startPool(size: number = availableParallelism()): Pool {
  const path = fileURLToPath(new URL("./worker.ts", import.meta.url));
  // What a run leaves is garbage after a few milliseconds.
  const execArgv = [...process.execArgv, "--min-semi-space-size=64", "--max-semi-space-size=128"];
  const workers = Array.from({ length: size }, () => fork(path, [], { execArgv }));
  return {
    async run(tasks, each, enough = () => false) {
      const queue = tasks[Symbol.iterator]();
      const work = async (worker: ChildProcess): Promise<void> => {
        for (let next = queue.next(); next.done !== true && !enough(); next = queue.next())
          each(await runOn(worker, next.value), next.value);
      };
      await Promise.all(workers.map(work));
    },
    close() {
      for (const worker of workers) worker.kill();
    },
  };
}

function runOn(worker: ChildProcess, task: Task): Promise<TaskResult> {
  return new Promise((resolve, reject) => {
    const died = (code: number | null): void =>
      reject(new Error(`Expected a worker to go on, found it ended (${code}).`));
    worker.once("exit", died);
    worker.once("message", (result) => {
      worker.off("exit", died);
      resolve(result as TaskResult);
    });
    worker.send(task);
  });
}

/** Seeds in parts that keep all workers busy until the end. */
export function tasksOf(from: number, seeds: number, rest: Omit<Task, "from" | "count">, atOnce = 50): Task[] {
  const tasks: Task[] = [];
  for (let at = from; at < from + seeds; at += atOnce)
    tasks.push({ ...rest, from: at, count: Math.min(atOnce, from + seeds - at) });
  return tasks;
}
