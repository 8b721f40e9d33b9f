/** Returns whether `text` matches a Redis glob: `*`, `?`, `[a-c]`, `[^x]`, and `\` to take the next one literally. */
export function matchesGlob(pattern: string, text: string): boolean {
  let at = 0;
  let index = 0;
  let starAt = -1;
  let starIndex = 0;
  // Backtracks to the last star only: linear memory and quadratic time, whatever the pattern.
  while (index < text.length) {
    if (pattern[at] === "*") {
      starAt = at++;
      starIndex = index;
      continue;
    }
    const next = at < pattern.length ? matchOne(pattern, at, text[index] ?? "") : undefined;
    if (next !== undefined) {
      at = next;
      index++;
    } else if (starAt >= 0) {
      at = starAt + 1;
      index = ++starIndex;
    } else {
      return false;
    }
  }
  while (pattern[at] === "*") at++;
  return at >= pattern.length;
}

/** Returns where the pattern goes on if its element at `at` accepts the character. */
function matchOne(pattern: string, at: number, character: string): number | undefined {
  const symbol = pattern[at];
  if (symbol === "?") return at + 1;
  if (symbol === "[") return matchClass(pattern, at + 1, character);
  const literal = symbol === "\\" && at + 1 < pattern.length ? at + 1 : at;
  return pattern[literal] === character ? literal + 1 : undefined;
}

function matchClass(pattern: string, start: number, character: string): number | undefined {
  let at = start;
  const negated = pattern[at] === "^";
  if (negated) at++;
  let found = false;
  while (at < pattern.length && pattern[at] !== "]") {
    if (pattern[at] === "\\" && at + 1 < pattern.length) {
      found ||= pattern[at + 1] === character;
      at += 2;
    } else if (pattern[at + 1] === "-" && at + 2 < pattern.length) {
      found ||= isBetween(character, pattern[at] ?? "", pattern[at + 2] ?? "");
      at += 3;
    } else {
      found ||= pattern[at] === character;
      at++;
    }
  }
  return found === negated ? undefined : Math.min(at + 1, pattern.length);
}

/** A range may be given in either direction. */
function isBetween(character: string, start: string, end: string): boolean {
  return start <= end ? character >= start && character <= end : character >= end && character <= start;
}
