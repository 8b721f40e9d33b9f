import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Prints the score of the last mutation run, by folder and by file, and fails where a folder has less than {@link LEAST}.
 * What lives is written to a file, one mutant a line.
 *
 * A mutant that the type checker refuses cannot come about, and is counted apart: Stryker's own checker needs an interface
 * that TypeScript 7 does not have, so that all that live are compiled here, each as a copy of its file, in one go.
 */

/** The least score of a folder, in percent. */
const LEAST = 90;

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const HOME = join(ROOT, ".tmp/mutation");
const COPY = join(HOME, "types");

interface Position {
  readonly line: number;
  readonly column: number;
}
interface Mutant {
  readonly id: string;
  readonly mutatorName: string;
  readonly replacement: string;
  readonly status: string;
  readonly statusReason?: string;
  readonly location: { readonly start: Position; readonly end: Position };
}
interface Report {
  readonly files: Readonly<Record<string, { readonly source: string; readonly mutants: readonly Mutant[] }>>;
}

const LIVES = new Set(["Survived", "NoCoverage"]);
const report = JSON.parse(readFileSync(join(HOME, "report.json"), "utf8")) as Report;
const files = Object.entries(report.files).sort(([a], [b]) => (a < b ? -1 : 1));
const refused = refusedByTypes();

const rows = new Map<string, { killed: number; live: number; refused: number; words: number; loading: number }>();
const live: string[] = [];
for (const [file, { source, mutants }] of files) {
  for (const mutant of mutants) {
    for (const name of [dirname(file), file]) count(name, file, mutant);
    if (LIVES.has(mutant.status) && !refused.has(nameOf(file, mutant))) live.push(told(file, source, mutant));
  }
}
writeFileSync(join(HOME, "survivors.txt"), live.map((line) => `${line}\n`).join(""));

console.log("score  killed  live  refused by types  words  on loading  file");
let least = 100;
for (const [name, row] of rows) {
  const score = (100 * row.killed) / (row.killed + row.live);
  if (!name.endsWith(".ts")) least = Math.min(least, score);
  const numbers = [row.killed, row.live, row.refused, row.words, row.loading];
  const widths = [6, 4, 16, 5, 10];
  const columns = numbers.map((number, i) => String(number).padStart(widths[i]!));
  console.log([score.toFixed(1).padStart(5), ...columns, name].join("  "));
}
console.log(`What lives: ${relative(ROOT, join(HOME, "survivors.txt"))}`);
process.exitCode = least < LEAST ? 1 : 0;

function count(name: string, file: string, mutant: Mutant): void {
  const row = rows.get(name) ?? { killed: 0, live: 0, refused: 0, words: 0, loading: 0 };
  rows.set(name, row);
  if (mutant.status === "Killed" || mutant.status === "Timeout") row.killed++;
  else if (LIVES.has(mutant.status)) row[refused.has(nameOf(file, mutant)) ? "refused" : "live"]++;
  else if (mutant.status === "Ignored") row[mutant.statusReason === "words for people" ? "words" : "loading"]++;
}

/** The copies of files, with one mutant each, that do not compile. */
function refusedByTypes(): ReadonlySet<string> {
  rmSync(COPY, { recursive: true, force: true });
  cpSync(join(ROOT, "src"), join(COPY, "src"), { recursive: true });
  for (const [file, { source, mutants }] of files) {
    writeFileSync(join(COPY, file), source);
    for (const mutant of mutants.filter(({ status }) => LIVES.has(status))) {
      const { start, end } = mutant.location;
      const text = source.slice(0, offset(source, start)) + mutant.replacement + source.slice(offset(source, end));
      writeFileSync(join(COPY, nameOf(file, mutant)), text);
    }
  }
  const compilerOptions = {
    noEmit: true,
    rootDir: ".",
    allowImportingTsExtensions: true,
    // A variable that a mutant leaves unused is no reason to refuse it.
    noUnusedLocals: false,
    noUnusedParameters: false,
    isolatedDeclarations: false,
  };
  const config = {
    extends: relative(COPY, join(ROOT, "tsconfig.json")),
    compilerOptions,
    include: ["src"],
    exclude: [],
  };
  mkdirSync(COPY, { recursive: true });
  writeFileSync(join(COPY, "tsconfig.json"), JSON.stringify(config));
  const tsc = join(ROOT, "node_modules/.bin/tsc");
  const { stdout } = spawnSync(tsc, ["-p", COPY, "--pretty", "false"], {
    cwd: COPY,
    encoding: "utf8",
    maxBuffer: 2 ** 30,
  });
  const found = new Set<string>();
  for (const line of stdout.split("\n")) {
    const file = /^(\S+\.mutant-\d+-\d+-\d+-\d+-\w+\.ts)\(/.exec(line)?.[1];
    if (file !== undefined) found.add(relative(COPY, resolve(COPY, file)));
    else if (line.includes("error TS")) throw new Error(`Expected the sources to compile, found: ${line}`);
  }
  return found;
}

/** The name of a mutant's copy: its place, and a hash of what stands there instead. */
function nameOf(file: string, { location: { start, end }, replacement, mutatorName }: Mutant): string {
  let hash = 0;
  for (const letter of mutatorName + replacement) hash = (Math.imul(hash, 31) + letter.codePointAt(0)!) >>> 0;
  const place = [start.line, start.column, end.line, end.column].join("-");
  return file.replace(/\.ts$/, `.mutant-${place}-${hash.toString(36)}.ts`);
}

function offset(source: string, { line, column }: Position): number {
  let at = 0;
  for (let n = 1; n < line; n++) at = source.indexOf("\n", at) + 1;
  return at + column - 1;
}

function told(file: string, source: string, { location: { start, end }, ...mutant }: Mutant): string {
  const was = source.slice(offset(source, start), offset(source, end)).replace(/\s+/g, " ").slice(0, 120);
  return `${file}:${start.line} ${mutant.mutatorName}: ${was} → ${mutant.replacement.replace(/\s+/g, " ").slice(0, 120)}`;
}
