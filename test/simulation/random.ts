/** A generator of pseudo-random numbers: the same seed gives the same numbers, on every machine. */
export interface Random {
  /** A whole number from 0 up to, and without, `bound`. */
  below(bound: number): number;
}

/**
 * Makes one.
 *
 * Source: sfc32 of PractRand, by Chris Doty-Humphrey; the seed is spread over its state by rounds that are thrown away.
 */
export function seededRandom(seed: number): Random {
  let [a, b, c, d] = [0x9e3779b9, seed | 0, Math.floor(seed / 2 ** 32) | 0, 1];
  const next = (): number => {
    const sum = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return sum >>> 0;
  };
  for (let round = 0; round < 12; round++) next();
  return { below: (bound) => Math.floor((next() / 2 ** 32) * bound) };
}
