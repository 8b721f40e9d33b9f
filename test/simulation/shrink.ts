/** Whether a run with these choices fails in the same way. */
export type Fails = (choices: readonly number[]) => Promise<boolean>;

/** How many runs a shrink may take. */
const MAX_RUNS = 1_500;

/**
 * Makes the choices of a failing run simpler as long as it fails in the same way: cuts their end off, puts zeros in the
 * place of ever smaller parts, leaves single ones out, and lowers what is left.
 */
export async function shrink(choices: readonly number[], fails: Fails): Promise<readonly number[]> {
  let best = trimmed(choices);
  let runs = 0;
  const attempt = async (candidate: readonly number[]): Promise<boolean> => {
    if (weightOf(candidate) >= weightOf(best) || ++runs > MAX_RUNS || !(await fails(candidate))) return false;
    best = trimmed(candidate);
    return true;
  };
  const cut = async (): Promise<void> => {
    for (let keep = best.length >> 1; keep < best.length; keep += Math.max(1, (best.length - keep) >> 1))
      if (await attempt(best.slice(0, keep))) return;
  };
  const silence = async (): Promise<void> => {
    for (let size = best.length >> 1; size >= 1; size >>= 1)
      for (let end = best.length; end > 0; end -= size) {
        const start = Math.max(0, end - size);
        await attempt(best.map((choice, place) => (place >= start && place < end ? 0 : choice)));
      }
  };
  const leaveOut = async (): Promise<void> => {
    for (let at = best.length - 1; at >= 0; at--) await attempt(best.filter((_, place) => place !== at));
  };
  const lower = async (): Promise<void> => {
    for (let at = 0; at < best.length; at++)
      for (const less of [1, best[at]! >> 1])
        if (less < (best[at] ?? 0)) await attempt(best.map((choice, place) => (place === at ? less : choice)));
  };
  for (let before = Number.POSITIVE_INFINITY; weightOf(best) < before;) {
    before = weightOf(best);
    for (const pass of [cut, silence, leaveOut, lower]) await pass();
  }
  return best;
}

/** Zeros at the end say nothing. */
function trimmed(choices: readonly number[]): readonly number[] {
  let length = choices.length;
  while (length > 0 && choices[length - 1] === 0) length--;
  return choices.slice(0, length);
}

/** What a reader has to look at, first of all: the choices that are not benign. */
function weightOf(choices: readonly number[]): number {
  let weight = trimmed(choices).length;
  for (const choice of choices) if (choice > 0) weight += 10_000 + Math.log2(choice) * 100;
  return weight;
}
