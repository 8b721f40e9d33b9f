import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";
import { root } from "./manifest.ts";
import { moduleOf, snippetsOf } from "./snippets.ts";
import type { Snippet } from "./snippets.ts";

const guides = readdirSync(new URL("docs", root), { recursive: true, encoding: "utf8" }).filter((name) =>
  name.endsWith(".md"),
);
const documents = ["README.md", ...guides.map((name) => `docs/${name}`)];
const snippets = documents.flatMap((document) => snippetsOf(document, readFileSync(new URL(document, root), "utf8")));

// Inside the repository, so that "aftercommit" is this package.
const folder = new URL(".tmp/snippets/", root);
const fileOf = ({ document, line }: Snippet): string => `${document.replaceAll("/", "-")}.${line}.ts`;

/** What the compiler says, by file. */
const complaints = new Map<string, string[]>();

beforeAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const snippet of snippets) writeFileSync(new URL(fileOf(snippet), folder), moduleOf(snippet));
  const config = {
    extends: "../../test/tsconfig.json",
    compilerOptions: { rootDir: "../..", noUnusedLocals: false, noUnusedParameters: false },
    include: ["*.ts"],
    exclude: [],
  };
  writeFileSync(new URL("tsconfig.json", folder), JSON.stringify(config));
  const tsc = new URL("node_modules/.bin/tsc", root).pathname;
  const { stdout } = await promisify(execFile)(tsc, ["-p", ".", "--pretty", "false"], { cwd: folder }).catch(
    (error: { stdout: string }) => error,
  );
  let file = "";
  for (const line of stdout.split("\n").filter((text) => text !== "")) {
    file = /^([^\s(]+)\(\d+,\d+\): /.exec(line)?.[1] ?? (line.startsWith(" ") ? file : "");
    complaints.set(file, [...(complaints.get(file) ?? []), line]);
  }
});

test("the README shows code", () => {
  expect(snippets.map(({ document }) => document)).toContain("README.md");
});

test.each(snippets.map((snippet) => [`${snippet.document}:${snippet.line}`, snippet] as const))(
  "the snippet at %s compiles",
  (_, snippet) => {
    expect(complaints.get(fileOf(snippet)) ?? []).toEqual([]);
  },
);

test("nothing but the snippets could keep them from compiling", () => {
  const files = new Set(snippets.map(fileOf));
  expect([...complaints].filter(([file]) => !files.has(file))).toEqual([]);
});
