export { worker } from "./worker.ts";
export type {
  AppLike,
  CronJob,
  ExecutionContextLike,
  ScheduledControllerLike,
  WorkerHandlers,
  WorkerOptions,
} from "./worker.ts";
export { r2Payloads } from "./r2-payload-store.ts";
export type { R2BucketLike, R2PayloadOptions } from "./r2-payload-store.ts";
