import { Receiver } from "@upstash/qstash";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { qstashReceiver } from "../../../adapters/qstash/index.ts";
import { CURRENT_KEY, encode, NEXT_KEY, NOW, requestWith, signToken, URL_OF_CONSUMER } from "./tokens.ts";
import type { TokenOptions } from "./tokens.ts";

const CASES = 6_000;
const SEED = 0x5eed;
const TOLERANCE_SECONDS = 10;
const LETTERS = 'ABCabc019-_.=+/ {}"';

const ours = qstashReceiver({ currentSigningKey: CURRENT_KEY, nextSigningKey: NEXT_KEY, clockTolerance: "10s" });
const vendors = new Receiver({ currentSigningKey: CURRENT_KEY, nextSigningKey: NEXT_KEY });

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: NOW * 1_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

test(`whatever ours accepts the vendor's accepts too: ${CASES} tokens from seed ${SEED}`, async () => {
  const random = seeded(SEED);
  const counts = { both: 0, neither: 0, vendorsOnly: 0 };
  for (let i = 0; i < CASES; i++) {
    const { token, body } = draw(random);
    const accepted = (await ours.verify(requestWith(token, body))).verified;
    const theirs = await acceptedByVendor(token, body);
    if (accepted && !theirs) expect.fail(`case ${i}: ours accepts what the vendor's refuses: ${token}`);
    if (accepted) counts.both++;
    else counts[theirs ? "vendorsOnly" : "neither"]++;
  }
  // The draw reaches all sides: genuine tokens, forged ones, and those that only the vendor's lets pass.
  expect(Math.min(counts.both, counts.neither, counts.vendorsOnly)).toBeGreaterThan(CASES / 50);
});

async function acceptedByVendor(signature: string, body: string): Promise<boolean> {
  try {
    return await vendors.verify({ signature, body, url: URL_OF_CONSUMER, clockTolerance: TOLERANCE_SECONDS });
  } catch {
    return false;
  }
}

interface Random {
  below(limit: number): number;
  pick<T>(values: readonly T[]): T;
}

/** Half of the tokens are as QStash makes them, but for what claims may vary in; the others have one or two things wrong. */
function draw(random: Random): { readonly token: string; readonly body: string } {
  const body = random.pick(["", "{}", '{"a":1}', "ä 漢字 🙂", "a\r\nb", "\ufeff{}", "x".repeat(random.below(2_000))]);
  const genuine: TokenOptions = {
    body,
    key: random.pick([CURRENT_KEY, CURRENT_KEY, NEXT_KEY]),
    claims: { iat: NOW - random.below(200), nbf: random.pick([0, NOW]), jti: random.pick(["jwt_1", undefined]) },
  };
  let token = signToken(random.below(2) === 0 ? genuine : { ...genuine, ...flaw(random, genuine) });
  if (random.below(4) === 0) token = mutate(random, token);
  return { token, body: random.below(12) === 0 ? `${body} ` : body };
}

function flaw(random: Random, genuine: TokenOptions): TokenOptions {
  const time = () => NOW + random.pick([-700, -301, -300, -11, -10, -9, -1, 0, 1, 9, 10, 11, 300, 600, 601]);
  const claims = (changed: Record<string, unknown>): TokenOptions => ({ claims: { ...genuine.claims, ...changed } });
  const odd = () => random.pick<unknown>([undefined, null, "", "1", 0, -1, 1.5, 1e17, true, [], {}]);
  return random.pick<() => TokenOptions>([
    () => claims({ exp: time() }),
    () => claims({ nbf: time() }),
    () => claims({ iat: time(), exp: time() }),
    () => claims({ [random.pick(["iss", "sub", "exp", "nbf", "iat", "body", "aud", "jti"])]: odd() }),
    () =>
      claims({ sub: random.pick([`${URL_OF_CONSUMER}/`, `${URL_OF_CONSUMER}?a=1`, URL_OF_CONSUMER.toUpperCase()]) }),
    () => ({ payload: random.pick(["", "{}", "[]", "null", '{"iss":"Upstash"}', '{"__proto__":{"iss":"Upstash"}}']) }),
    () => ({ key: random.pick(["", "k", CURRENT_KEY.slice(1), `${NEXT_KEY} `]) }),
    () => ({
      header: random.pick([
        { alg: "none" },
        { alg: "HS256", crit: ["b64"], b64: false },
        { alg: "HS256", b64: true },
        {},
      ]),
    }),
    () => ({ header: { alg: "HS512" }, hash: "sha512" }),
    () => ({ header: { alg: "HS384", typ: "JWT" }, hash: "sha384" }),
    () => ({ header: { alg: "HS256", typ: random.pick(["JWT", "at+jwt", "", 7]), kid: "k" } }),
  ])();
}

/** Changes, removes, doubles or adds a letter, swaps parts, or encodes a part differently. */
function mutate(random: Random, token: string): string {
  const at = random.below(token.length);
  const letter = LETTERS[random.below(LETTERS.length)]!;
  const parts = token.split(".");
  return random.pick<() => string>([
    () => token.slice(0, at) + letter + token.slice(at + 1),
    () => token.slice(0, at) + token.slice(at + 1),
    () => token.slice(0, at) + letter + token.slice(at),
    () => token.slice(0, at),
    () => `${token}${letter}`,
    () => `${token}=`,
    () => `${parts[1]}.${parts[0]}.${parts[2]}`,
    () => `${parts[0]}.${parts[1]}.`,
    () => `${parts[0]}.${parts[1]}.${encode(random.pick(["", "x", "x".repeat(32), "x".repeat(64)]))}`,
  ])();
}

/** Mulberry32. */
function seeded(seed: number): Random {
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return { below, pick: (values) => values[below(values.length)]! };
}
