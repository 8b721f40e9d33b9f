/** What is used of bun:sqlite here. A project of its own has `@types/bun` instead. */
declare module "bun:sqlite" {
  export class Database {
    constructor(path: string);
    readonly inTransaction: boolean;
    exec(text: string): { readonly changes: number };
    query(text: string): Statement;
    close(): void;
  }

  export interface Statement {
    all(...values: (string | number | null)[]): unknown[];
    get(...values: (string | number | null)[]): unknown;
    run(...values: (string | number | null)[]): { readonly changes: number };
  }
}
