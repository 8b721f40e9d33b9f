/**
 * Patterns of transactions that span services: participants with try, confirm and cancel; sagas.
 *
 * @module
 */
export { DEFAULT_BRANCH_RETRIES, participant } from "./participant.ts";
export type { Participant, ParticipantOptions } from "./participant.ts";
export { participantRoutes } from "./participant-routes.ts";
export type { ParticipantHandlers } from "./participant-routes.ts";
export type { Branch } from "./branch.ts";
export type { BranchData } from "./branch-data.ts";
export { DEFAULT_CALL_RETRIES } from "./begin-branch.ts";
export { directCalls } from "./direct-calls.ts";
export type { DirectCallsOptions } from "./direct-calls.ts";
export { ParticipantUnavailableError, RefusedError } from "./errors.ts";
export type { BranchDetails } from "./errors.ts";
export { step } from "./step.ts";
export type { Step, StepOptions } from "./step.ts";
export { stepRoutes } from "./step-routes.ts";
export type { StepHandlers } from "./step-routes.ts";
export { compensation } from "./compensation.ts";
export type { Compensation, CompensationData } from "./compensation.ts";
export { compensations } from "./compensations.ts";
export { saga } from "./saga.ts";
export type { Saga, SagaOptions, SagaState } from "./saga.ts";
export { sagaStepRoutes } from "./saga-step-routes.ts";
export type { SagaMessage, SagaStepHandlers } from "./saga-step-routes.ts";
export { notification, notify } from "./notification.ts";
export type { Notification, NotificationData, NotificationOptions, NotifyOptions } from "./notification.ts";
export { notificationRoutes } from "./notification-routes.ts";
export type { EndedNotification, NotificationQuestion, NotificationRoutesOptions } from "./notification-routes.ts";
export { DEFAULT_SCHEDULE } from "./schedule.ts";
