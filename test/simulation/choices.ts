import { seededRandom } from "./random.ts";

/**
 * Every choice that a run makes: whole numbers, of which 0 is always the benign one.
 *
 * They come from a seed or from a list; what was drawn is kept, so that any run can be repeated from its list, and be made
 * simpler by putting zeros into it.
 */
export interface Choices {
  /** One of `weights.length` cases, each as likely as its weight. From a list any case may come, whatever its weight. */
  weighted(weights: readonly number[]): number;
  /** A whole number below `bound`; each is as likely as the others. */
  below(bound: number): number;
  /** What was drawn so far. */
  readonly drawn: readonly number[];
}

/** Choices drawn from a seed. */
export function seededChoices(seed: number): Choices {
  const random = seededRandom(seed);
  const drawn: number[] = [];
  return {
    drawn,
    weighted(weights) {
      let sum = 0;
      for (const weight of weights) sum += weight;
      let left = random.below(sum);
      let chosen = 0;
      while (left >= weights[chosen]!) left -= weights[chosen++]!;
      drawn.push(chosen);
      return chosen;
    },
    below(bound) {
      const chosen = random.below(bound);
      drawn.push(chosen);
      return chosen;
    },
  };
}

/** Choices out of a list; after its end everything is benign. */
export function listedChoices(list: readonly number[]): Choices {
  const drawn: number[] = [];
  const next = (bound: number): number => {
    const chosen = (list[drawn.length] ?? 0) % bound;
    drawn.push(chosen);
    return chosen;
  };
  return { drawn, weighted: (weights) => next(weights.length), below: next };
}

/** A list as a short text: the choices that are not benign, as `place=choice`. */
export function encodeChoices(list: readonly number[]): string {
  const marked = list.flatMap((choice, place) => (choice === 0 ? [] : [`${place}=${choice}`]));
  return marked.length === 0 ? "0=0" : marked.join(",");
}

/** The list of such a text. */
export function decodeChoices(text: string): readonly number[] {
  const list: number[] = [];
  for (const entry of text.split(",")) {
    const [, place, choice] = /^(\d+)=(\d+)$/.exec(entry) ?? [];
    if (place === undefined)
      throw new TypeError(`Expected choices as "place=choice,…", found ${JSON.stringify(entry)}.`);
    list[Number(place)] = Number(choice);
  }
  return Array.from(list, (choice) => choice ?? 0);
}
