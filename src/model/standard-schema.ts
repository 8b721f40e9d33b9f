/**
 * The interface that zod, valibot, arktype and others share, as far as this library uses it.
 *
 * Source: Standard Schema, version 1.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  /** Everything of the interface lies under this name. */
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** What a schema says of a value. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** One thing that a schema found wrong. */
export interface SchemaIssue {
  /** What is wrong, in words. */
  readonly message: string;
  /** Where in the value: keys from the outside in. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** The issues as one line of text, without the values: `orderId: expected string; cents: expected number`. */
export function describeIssues(issues: readonly SchemaIssue[]): string {
  return issues
    .slice(0, 5)
    .map((issue) => {
      const path = (issue.path ?? []).map((step) => String(typeof step === "object" ? step.key : step)).join(".");
      return path === "" ? issue.message : `${path}: ${issue.message}`;
    })
    .join("; ");
}
