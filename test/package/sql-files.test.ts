import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { schemaOf } from "../../adapters/sql/index.ts";
import { root } from "./manifest.ts";

const guide = readFileSync(new URL("docs/schema.md", root), "utf8");

test.each(["postgresql", "sqlite", "mysql"] as const)("the SQL file of %s is what schemaOf says", async (dialect) => {
  await expect(schemaOf(dialect)).toMatchFileSnapshot(new URL(`adapters/sql/schema/${dialect}.sql`, root).pathname);
});

test.each(["postgresql", "sqlite", "mysql"] as const)("the guide shows the SQL of %s as it is", (dialect) => {
  expect(guide).toContain(`\`\`\`sql\n${schemaOf(dialect)}\`\`\``);
});
