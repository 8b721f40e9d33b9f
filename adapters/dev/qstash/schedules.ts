import { ApiError } from "./api-error.ts";
import { type Cron, parseCron } from "./cron.ts";
import { randomId } from "./ids.ts";
import { bodyView, flowControlView, labelsView, type Message, type MessageConfig } from "./message.ts";
import { type ConfigRules, parseConfig } from "./publish-headers.ts";
import type { Prepared, Publisher, PublishRequest } from "./publisher.ts";
import { redact, type Shown } from "./redaction.ts";
import type { Time } from "./time.ts";

export type ScheduledState = "IN_PROGRESS" | "SUCCESS" | "FAIL";

/** A request that is published whenever a cron expression fires. */
export interface Schedule {
  readonly scheduleId: string;
  readonly expression: string;
  readonly cron: Cron;
  readonly request: PublishRequest;
  readonly config: MessageConfig;
  readonly shown: Shown;
  readonly createdAt: number;
  isPaused: boolean;
  lastTime?: number;
  nextTime?: number;
  /** What became of the messages of the last firing. */
  lastStates: Record<string, ScheduledState>;
  cancelTimer: () => void;
}

export interface Schedules {
  /** Creates a schedule, or replaces the one with the id in `Upstash-Schedule-Id`; returns its id. */
  create(request: PublishRequest): Promise<string>;
  /** @throws ApiError 404 */
  get(scheduleId: string): Schedule;
  list(): readonly Schedule[];
  delete(scheduleId: string): void;
  /** While it is paused, its triggers are skipped, not queued. */
  setPaused(scheduleId: string, paused: boolean): void;
  /** Records what became of a message. */
  settled(message: Message, success: boolean): void;
  /** Triggers that are being turned into messages. */
  firing(): readonly Promise<void>[];
}

export interface SchedulesOptions extends ConfigRules {
  readonly time: Time;
  readonly publisher: Publisher;
}

const ID = /^[A-Za-z0-9_.-]+$/;

export function createSchedules(options: SchedulesOptions): Schedules {
  const { time, publisher } = options;
  const schedules = new Map<string, Schedule>();
  const firing = new Set<Promise<void>>();

  const get = (scheduleId: string): Schedule => {
    const schedule = schedules.get(scheduleId);
    if (schedule === undefined) throw new ApiError(404, `schedule "${scheduleId}" not found`);
    return schedule;
  };

  /** `from` is a time on the cron's own axis: with a time factor, the clock runs slower than the schedule. */
  const arm = (schedule: Schedule, from: number): void => {
    const next = schedule.cron.next(from);
    if (next === undefined) return;
    const due = time.dueAfter(next - from);
    schedule.nextTime = Math.floor(due);
    schedule.cancelTimer = time.at(due, () => {
      arm(schedule, next);
      if (schedule.isPaused) return;
      const done = fire(schedule).finally(() => firing.delete(done));
      firing.add(done);
    });
  };

  const fire = async (schedule: Schedule): Promise<void> => {
    schedule.lastTime = Math.floor(time.now());
    const prepared = await prepare(schedule.request);
    if (prepared === undefined) return;
    schedule.lastStates = {};
    for (const { messageId } of publisher.accept(prepared)) schedule.lastStates[messageId] ??= "IN_PROGRESS";
  };

  /** Nothing, when the destination has become invalid since: a deleted URL group. */
  const prepare = async (request: PublishRequest): Promise<Prepared | undefined> => {
    try {
      return await publisher.prepare(request);
    } catch (error) {
      if (error instanceof ApiError) return undefined;
      throw error;
    }
  };

  return {
    async create(request) {
      const { headers, body } = request;
      const expression = headers.get("upstash-cron")?.trim() ?? "";
      const cron = readCron(expression);
      const scheduleId = headers.get("upstash-schedule-id")?.trim() || randomId("scd");
      if (!ID.test(scheduleId)) throw new ApiError(400, `invalid schedule id "${scheduleId}"`);
      const queueName = headers.get("upstash-queue-name")?.trim() || undefined;
      const scheduled = { ...request, origin: { scheduleId, queueName } };
      // Only to refuse now what could not be published later.
      await publisher.prepare(scheduled);
      const config = parseConfig(headers, options);
      const shown = await redact(config.redactFields, config.header, body);
      const replaced = schedules.get(scheduleId);
      replaced?.cancelTimer();
      const schedule: Schedule = {
        scheduleId,
        expression,
        cron,
        request: scheduled,
        config,
        shown,
        createdAt: replaced?.createdAt ?? Math.floor(time.now()),
        isPaused: replaced?.isPaused ?? false,
        lastStates: {},
        cancelTimer: () => {},
      };
      schedules.set(scheduleId, schedule);
      arm(schedule, time.now());
      return scheduleId;
    },
    get,
    list: () => [...schedules.values()],
    delete(scheduleId) {
      get(scheduleId).cancelTimer();
      schedules.delete(scheduleId);
    },
    setPaused(scheduleId, paused) {
      get(scheduleId).isPaused = paused;
    },
    settled({ scheduleId, messageId }, success) {
      const states = schedules.get(scheduleId ?? "")?.lastStates;
      if (states !== undefined && Object.hasOwn(states, messageId)) states[messageId] = success ? "SUCCESS" : "FAIL";
    },
    firing: () => [...firing],
  };
}

function readCron(expression: string): Cron {
  try {
    return parseCron(expression);
  } catch (error) {
    throw new ApiError(400, `invalid cron: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** A schedule as the API shows it; absent fields are left out. */
export function scheduleView(schedule: Schedule): Record<string, unknown> {
  const { config, request, shown } = schedule;
  return {
    scheduleId: schedule.scheduleId,
    cron: schedule.expression,
    createdAt: schedule.createdAt,
    destination: request.destination,
    method: config.method,
    header: shown.header,
    ...bodyView(request.body, shown.redactedBody),
    retries: config.maxRetries,
    delay: config.delayMillis > 0 ? Math.floor(config.delayMillis / 1000) : undefined,
    callback: config.callback?.url,
    failureCallback: config.failureCallback?.url,
    queueName: request.origin?.queueName,
    callerIP: "127.0.0.1",
    callerIp: "127.0.0.1",
    isPaused: schedule.isPaused,
    ...flowControlView(config.flowControl),
    retryDelayExpression: config.retryDelayExpression,
    ...labelsView(config.labels),
    lastScheduleTime: schedule.lastTime,
    nextScheduleTime: schedule.nextTime,
    lastScheduleStates: Object.keys(schedule.lastStates).length > 0 ? schedule.lastStates : undefined,
  };
}
