import type { Result } from "./run.ts";

/** What happened, as a table. */
export function resultTable(result: Result): string {
  const { killsOf, recoveryOf, offenders, ...figures } = result;
  const rows = [
    ...Object.entries(figures),
    ...Object.entries(recoveryOf).map(
      ([name, { p50, longest }]) => [`  recovery of a ${name} kill, p50 / longest`, `${p50} / ${longest}`] as const,
    ),
    ...Object.entries(killsOf).map(([name, count]) => [`  ${name}`, count] as const),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const table = rows.map(([name, value]) => `  ${name.padEnd(width)}  ${String(value).padStart(8)}\n`).join("");
  return table + offenders.map((offender) => `  ✗ ${offender}\n`).join("");
}

/** Whether the run shows what the level promises. Only `barrier` promises anything under these kills. */
export function holds({ level, lost, phantom, doubled, balanced, settled }: Result): boolean {
  return level !== "barrier" || (lost + phantom + doubled === 0 && balanced && settled);
}
