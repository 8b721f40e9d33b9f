import { isTransactionId } from "../model/ids.ts";
import { describeIssues } from "../model/standard-schema.ts";
import type { SchemaResult, StandardSchema } from "../model/standard-schema.ts";

/** What says which branch of which transaction, and with which data: in the calls and messages of a branch. */
export interface BranchData<Data> {
  /** The transaction that it is part of. */
  readonly transaction: string;
  /** Unique among all branches of all transactions. */
  readonly branch: string;
  /** When it was called for the first time, in milliseconds since 1970 by the caller's clock. */
  readonly at: number;
  /** What the participant's schema describes. */
  readonly data: Data;
}

const BRANCH = /^[A-Za-z0-9-]{1,64}_\d{1,5}$/;

/** Tells whether a value may be a branch's id. */
export function isBranchId(value: unknown): value is string {
  return typeof value === "string" && BRANCH.test(value);
}

/** The schema of what the messages of a branch carry. */
export function branchSchema<Input, Data>(
  schema: StandardSchema<Input, Data>,
): StandardSchema<BranchData<Input>, BranchData<Data>> {
  return {
    "~standard": {
      version: 1,
      vendor: "aftercommit",
      async validate(value): Promise<SchemaResult<BranchData<Data>>> {
        const facts = value as Partial<BranchData<unknown>> | null;
        if (typeof facts !== "object" || facts === null) return refused("expected the facts of a branch");
        const { transaction, branch, at } = facts;
        if (typeof transaction !== "string" || !isTransactionId(transaction))
          return refused("expected a transaction's id");
        if (!isBranchId(branch)) return refused("expected a branch's id");
        if (typeof at !== "number" || !Number.isFinite(at)) return refused("expected the time of a branch");
        const result = await schema["~standard"].validate(facts.data);
        if (result.issues !== undefined) return refused(describeIssues(result.issues));
        return { value: { transaction, branch, at, data: result.value } };
      },
    },
  };
}

function refused(message: string): { readonly issues: readonly { readonly message: string }[] } {
  return { issues: [{ message }] };
}
