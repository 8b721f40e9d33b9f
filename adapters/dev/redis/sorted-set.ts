import { compareBytes } from "./bytes.ts";

/** A member of a sorted set with its score. */
export interface ScoredMember {
  readonly member: string;
  readonly score: number;
}

/**
 * Members ordered by score, then by bytes.
 *
 * Chunks of at most {@link CHUNK_LIMIT} members keep insertion, removal and rank cheap up to some 100,000 members.
 */
export interface SortedSet {
  readonly size: number;
  score(member: string): number | undefined;
  /** Adds the member or moves it to its new score. */
  set(member: string, score: number): void;
  delete(member: string): boolean;
  /** Position of a present member, from 0. */
  rank(member: string): number | undefined;
  /** How many leading members satisfy `isBefore`, which must hold for a prefix of the order only. */
  countWhile(isBefore: (entry: ScoredMember) => boolean): number;
  /** Members from position `start` up to, without, position `end`. */
  slice(start: number, end: number): ScoredMember[];
  clone(): SortedSet;
}

const CHUNK_LIMIT = 256;

export function createSortedSet(entries: readonly ScoredMember[] = []): SortedSet {
  return sortedSetOf(
    new Map(entries.map((entry) => [entry.member, entry.score])),
    toChunks([...entries].sort(compare)),
  );
}

/** Owns both arguments: `chunks` hold the entries of `scores` in order. */
function sortedSetOf(scores: Map<string, number>, chunks: ScoredMember[][]): SortedSet {
  /** The first position for which `isBefore` no longer holds, as chunk and offset. */
  const locate = (isBefore: (entry: ScoredMember) => boolean): { readonly chunk: number; readonly offset: number } => {
    const chunk = partition(chunks, (candidate) => isBefore(candidate.at(-1)!));
    return { chunk, offset: chunk < chunks.length ? partition(chunks[chunk]!, isBefore) : 0 };
  };
  const position = (chunk: number, offset: number): number => {
    let before = offset;
    for (let index = 0; index < chunk; index++) before += chunks[index]!.length;
    return before;
  };
  const insert = (entry: ScoredMember): void => {
    const found = locate((candidate) => compare(candidate, entry) < 0);
    if (chunks.length === 0) chunks.push([]);
    // Past the end of all chunks means: append to the last one.
    const index = Math.min(found.chunk, chunks.length - 1);
    const chunk = chunks[index]!;
    chunk.splice(index === found.chunk ? found.offset : chunk.length, 0, entry);
    if (chunk.length > CHUNK_LIMIT) chunks.splice(index + 1, 0, chunk.splice(CHUNK_LIMIT / 2));
  };
  const remove = (entry: ScoredMember): void => {
    const { chunk, offset } = locate((candidate) => compare(candidate, entry) < 0);
    chunks[chunk]!.splice(offset, 1);
    if (chunks[chunk]!.length === 0) chunks.splice(chunk, 1);
  };
  return {
    get size() {
      return scores.size;
    },
    score: (member) => scores.get(member),
    set(member, score) {
      const current = scores.get(member);
      if (current === score) return;
      if (current !== undefined) remove({ member, score: current });
      scores.set(member, score);
      insert({ member, score });
    },
    delete(member) {
      const current = scores.get(member);
      if (current === undefined) return false;
      scores.delete(member);
      remove({ member, score: current });
      return true;
    },
    rank(member) {
      const score = scores.get(member);
      if (score === undefined) return undefined;
      const { chunk, offset } = locate((candidate) => compare(candidate, { member, score }) < 0);
      return position(chunk, offset);
    },
    countWhile(isBefore) {
      const { chunk, offset } = locate(isBefore);
      return position(chunk, offset);
    },
    slice(start, end) {
      const found: ScoredMember[] = [];
      let first = 0;
      for (const chunk of chunks) {
        if (first >= end) break;
        if (first + chunk.length > start) found.push(...chunk.slice(Math.max(0, start - first), end - first));
        first += chunk.length;
      }
      return found;
    },
    clone: () =>
      sortedSetOf(
        new Map(scores),
        chunks.map((chunk) => [...chunk]),
      ),
  };
}

function compare(left: ScoredMember, right: ScoredMember): number {
  if (left.score !== right.score) return left.score < right.score ? -1 : 1;
  return compareBytes(left.member, right.member);
}

function toChunks(entries: readonly ScoredMember[]): ScoredMember[][] {
  const chunks: ScoredMember[][] = [];
  for (let start = 0; start < entries.length; start += CHUNK_LIMIT / 2) {
    chunks.push(entries.slice(start, start + CHUNK_LIMIT / 2));
  }
  return chunks;
}

/** Binary search for the first item for which `isBefore` does not hold. */
function partition<Item>(items: readonly Item[], isBefore: (item: Item) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(items[middle]!)) low = middle + 1;
    else high = middle;
  }
  return low;
}
