import type { Result } from "./result.ts";

/** What happened, as a table. */
export function resultTable(result: Result): string {
  const { killsOf, recoveryOf, points, lostBy, offenders, ...figures } = result;
  const rows = [
    ...Object.entries(figures),
    ...Object.entries(lostBy).map(([name, count]) => [`  lost with Redis: ${name}`, count] as const),
    ...Object.entries(recoveryOf).map(
      ([name, { p50, p99 }]) => [`  recovery of a ${name} kill, p50 / p99`, `${p50} / ${p99}`] as const,
    ),
    ...Object.entries(killsOf).map(([name, count]) => [`  ${name}`, count] as const),
    ...Object.entries(points).map(([name, count]) => [`  ${name}`, count] as const),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const table = rows.map(([name, value]) => `  ${name.padEnd(width)}  ${String(value).padStart(8)}\n`).join("");
  return table + offenders.map((offender) => `  ✗ ${offender}\n`).join("");
}

/** Whether the run shows what the level promises. Only `barrier` promises the messages under these kills. */
export function holds({ level, lost, phantom, doubled, crashes, balanced, settled }: Result): boolean {
  return crashes === 0 && (level !== "barrier" || (lost + phantom + doubled === 0 && balanced && settled));
}
