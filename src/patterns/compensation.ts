import { isTransactionId } from "../model/ids.ts";
import type { SchemaResult, StandardSchema } from "../model/standard-schema.ts";
import { topic } from "../model/topic.ts";
import type { Topic } from "../model/topic.ts";
import { isBranchId } from "./branch-data.ts";
import type { BranchData } from "./branch-data.ts";

/** A step that is to be compensated. */
export interface Compensation extends BranchData<unknown> {
  /** The step's name. */
  readonly step: string;
}

/** What is left to be compensated of a saga: the first of these now, the others after it. */
export interface CompensationData {
  /** Latest first. */
  readonly steps: readonly Compensation[];
}

const schema: StandardSchema<CompensationData> = {
  "~standard": {
    version: 1,
    vendor: "aftercommit",
    validate(value): SchemaResult<CompensationData> {
      const steps = (value as Partial<CompensationData> | null)?.steps;
      if (Array.isArray(steps) && steps.length > 0 && steps.every(isCompensation)) return { value: { steps } };
      return { issues: [{ message: "expected the steps of a saga" }] };
    },
  },
};

/**
 * The messages by which a service compensates the steps of its sagas, to itself: `routes` leads from its name to where
 * {@link compensations} is mounted.
 */
export const compensation: Topic<CompensationData> = topic("aftercommit.compensation", schema, {
  retries: 5,
});

function isCompensation(value: unknown): value is Compensation {
  if (typeof value !== "object" || value === null) return false;
  const { step, transaction, branch, at } = value as Partial<Compensation>;
  return (
    typeof step === "string" &&
    typeof transaction === "string" &&
    isTransactionId(transaction) &&
    isBranchId(branch) &&
    typeof at === "number" &&
    Number.isFinite(at)
  );
}
