import { describe, expect, test } from "vitest";
import { qstashReceiver } from "../../../adapters/qstash/index.ts";
import type { QStashReceiverOptions } from "../../../adapters/qstash/index.ts";
import { toBase64Url } from "../../../src/model/bytes.ts";
import type { SignedRequest, Verification } from "../../../src/ports/receiver.ts";
import { webCrypto } from "../../../src/system/crypto.ts";
import { CURRENT_KEY, encode, NEXT_KEY, NOW, requestWith, signToken, URL_OF_CONSUMER } from "./tokens.ts";
import type { TokenOptions } from "./tokens.ts";

const clock = { now: () => NOW * 1_000, sleep: () => Promise.resolve() };
const keys = { currentSigningKey: CURRENT_KEY, nextSigningKey: NEXT_KEY };

function verify(request: SignedRequest, options: QStashReceiverOptions = {}): Promise<Verification> {
  return qstashReceiver({ ...keys, clock, ...options }).verify(request);
}

function verifyToken(token: TokenOptions = {}, options?: QStashReceiverOptions): Promise<Verification> {
  return verify(requestWith(signToken(token), token.body), options);
}

async function reasonOf(verification: Promise<Verification>): Promise<string> {
  const found = await verification;
  expect(found.verified).toBe(false);
  return found.verified ? "" : found.reason;
}

describe("a genuine request", () => {
  test("is verified, with subject, token id and key", async () => {
    expect(await verifyToken({ body: '{"a":1}' })).toEqual({
      verified: true,
      subject: URL_OF_CONSUMER,
      tokenId: "jwt_1",
      signedBy: "current",
    });
  });

  test("is verified without a token id and with claims and header fields of other kinds", async () => {
    const token = { claims: { jti: undefined, aud: "" }, header: { alg: "HS256", kid: "x", typ: "anything" } };
    expect(await verifyToken(token)).toMatchObject({ verified: true, tokenId: undefined });
  });

  test("is verified with a padded and with an unpadded body hash", async () => {
    const { body } = JSON.parse(Buffer.from(signToken().split(".")[1]!, "base64url").toString()) as { body: string };
    expect(body.endsWith("=")).toBe(true);
    expect(await verifyToken({ claims: { body: body.slice(0, -1) } })).toMatchObject({ verified: true });
  });

  test.each([
    ["empty", ""],
    ["binary", Uint8Array.from({ length: 256 }, (_, i) => i)],
    ["invalid UTF-8", Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d)],
    ["with a byte order mark", "\ufeff{}"],
    ["with CRLF and other scripts", "ä\r\n漢字 🙂"],
  ])("is verified over its raw bytes: a body that is %s", async (_name, body) => {
    expect(await verifyToken({ body })).toMatchObject({ verified: true });
  });

  test("has the URL without its query as its subject", async () => {
    const url = `${URL_OF_CONSUMER}?epoch=0&x=%20`;
    const token = signToken({ claims: { sub: url } });
    expect(await verify(requestWith(token, "", url))).toMatchObject({ verified: true, subject: URL_OF_CONSUMER });
  });

  test("is verified where its URL differs only in the case of the host and in the default port", async () => {
    const token = signToken({ claims: { sub: "HTTPS://Shop.Example.com:443/consumers/receipt" } });
    expect(await verify(requestWith(token))).toMatchObject({ verified: true, subject: URL_OF_CONSUMER });
  });
});

describe("the algorithm", () => {
  test.each([
    ["none", { alg: "none" }],
    ["None", { alg: "None" }],
    ["hs256 in lower case", { alg: "hs256" }],
    ["missing", { typ: "JWT" }],
    ["an array", { alg: ["HS256"] }],
    ["RS256", { alg: "RS256" }],
    ["on the prototype only", JSON.parse('{"__proto__":{"alg":"HS256"}}') as unknown],
  ])("is refused before any key is touched: %s", async (_name, header) => {
    let touched = false;
    const crypto = { ...webCrypto, verifyHmac: () => (touched = true) };
    expect(await reasonOf(verifyToken({ header }, { crypto }))).toContain("HS256");
    expect(touched).toBe(false);
  });

  test.each(["sha384", "sha512"] as const)("is refused where the right key signed with %s", async (hash) => {
    expect(await reasonOf(verifyToken({ header: { alg: `HS${hash.slice(3)}` }, hash }))).toContain("HS256");
    expect(await reasonOf(verifyToken({ hash }))).toContain("signing keys");
  });

  test("is refused unsigned, with an empty signature", async () => {
    const token = signToken({ header: { alg: "none" } });
    expect(await reasonOf(verify(requestWith(`${token.split(".").slice(0, 2).join(".")}.`)))).toContain("three parts");
  });

  test.each(["crit", "b64"])("is refused with the header field %s, whatever its value", async (name) => {
    for (const value of [null, false, true, [], ["b64"]]) {
      expect(await reasonOf(verifyToken({ header: { alg: "HS256", [name]: value } }))).toContain(name);
    }
  });

  test("is not moved by a key that the token brings along", async () => {
    const key = "an attacker's key of enough letters";
    const jwk = { kty: "oct", k: encode(key) };
    const header = { alg: "HS256", jwk, jku: "https://evil.example/keys", x5u: "https://evil.example", x5c: ["x"] };
    expect(await reasonOf(verifyToken({ key, header }))).toContain("signing keys");
  });
});

describe("the form of a token", () => {
  const [header, payload, signature] = signToken().split(".") as [string, string, string];

  test.each([
    ["empty", ""],
    ["one part", header],
    ["two parts", `${header}.${payload}`],
    ["four parts", `${header}.${payload}.${signature}.${signature}`],
    ["an empty header", `.${payload}.${signature}`],
    ["an empty payload", `${header}..${signature}`],
    ["dots", "..".repeat(2_000)],
  ])("is refused unless it has three non-empty parts: %s", async (_name, token) => {
    expect(await reasonOf(verify(requestWith(token)))).toMatch(/three parts/);
  });

  test("is refused without a signature header", async () => {
    expect(await reasonOf(verify(requestWith(undefined)))).toContain("found none");
  });

  test("is refused with two signature headers", async () => {
    const request = requestWith(signToken());
    request.headers.append("Upstash-Signature", signToken());
    expect((await verify(request)).verified).toBe(false);
  });

  test.each([
    ["padding", `${header}.${payload}.${signature}=`],
    ["padding of the header", `${header}=.${payload}.${signature}`],
    ["the alphabet of standard base64", `${header}.${payload}.${"+".repeat(43)}`],
    ["a line break", `${header}.${payload.slice(0, 9)} ${payload.slice(9)}.${signature}`],
    ["an impossible length", `${header}.${payload}.${signature}AA`],
    ["bits that stand for nothing", `${header}.${payload}.${withStrayBits(signature)}`],
  ])("is refused unless it is canonical base64url: %s", async (_name, token) => {
    expect((await verify(requestWith(token))).verified).toBe(false);
  });

  test("is refused with a signature of any wrong length, without throwing", async () => {
    for (const length of [1, 16, 31, 33, 64, 1_000]) {
      const token = `${header}.${payload}.${toBase64Url(new Uint8Array(length))}`;
      expect(await reasonOf(verify(requestWith(token)))).toContain("signing keys");
    }
  });

  test.each([
    ["no JSON", "{"],
    ["an array", "[]"],
    ["null", "null"],
    ["a number", "7"],
    ["text", '"iss"'],
    ["with a byte order mark", '\ufeff{"iss":"Upstash"}'],
  ])("is refused where the claims are %s", async (_name, text) => {
    expect(await reasonOf(verifyToken({ payload: text }))).toContain("base64url JSON");
  });

  test("is refused where a part is not UTF-8", async () => {
    const bytes = Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d);
    expect(await reasonOf(verify(requestWith(`${header}.${encode(bytes)}.${signature}`)))).toContain("claims");
    expect(await reasonOf(verify(requestWith(`${encode(bytes)}.${payload}.${signature}`)))).toContain("header");
  });

  test("is refused where the header is longer than 1 KB", async () => {
    const token = { header: { alg: "HS256", kid: "k".repeat(1_100) } };
    expect(await reasonOf(verifyToken(token))).toContain("1024 letters");
  });

  test("is refused within a millisecond where the token has 100 KB", async () => {
    const receiver = qstashReceiver({ ...keys, clock });
    const requests = ["a", ".", "a.a.", "="].map((pattern) => requestWith(pattern.repeat(102_400 / pattern.length)));
    for (const request of requests) await receiver.verify(request);
    const times: number[] = [];
    for (const request of requests) {
      const start = performance.now();
      expect(await reasonOf(receiver.verify(request))).toContain("4096 letters");
      times.push(performance.now() - start);
    }
    expect(Math.min(...times)).toBeLessThan(1);
  });
});

describe("the claims", () => {
  test.each(["iss", "sub", "exp", "nbf", "iat", "body"])("are refused without %s", async (name) => {
    expect((await verifyToken({ claims: { [name]: undefined } })).verified).toBe(false);
    expect((await verifyToken({ claims: { [name]: null } })).verified).toBe(false);
  });

  test("are not found on the prototype", async () => {
    const payload = `{"__proto__":${Buffer.from(signToken().split(".")[1]!, "base64url").toString()}}`;
    expect((await verifyToken({ payload })).verified).toBe(false);
  });

  test.each(["upstash", "Upstash ", "", ["Upstash"]])("are refused of another issuer: %j", async (iss) => {
    expect(await reasonOf(verifyToken({ claims: { iss } }))).toContain("issuer");
  });

  describe.each(["exp", "nbf", "iat"])("the time %s", (name) => {
    test.each(["1e400", "-1e400", "1.5", '"1800000000"', "-1", "true", "[]", "1e17", "NaN", "Infinity"])(
      "is refused as %s",
      async (text) => {
        const claims = JSON.stringify({ ...claimsOf(signToken()), [name]: "@" });
        expect((await verifyToken({ payload: claims.replace('"@"', text) })).verified).toBe(false);
      },
    );
  });

  test("are refused where the token lives longer than 600 s", async () => {
    expect(await verifyToken({ claims: { exp: NOW + 600 } })).toMatchObject({ verified: true });
    expect(await reasonOf(verifyToken({ claims: { exp: NOW + 601 } }))).toContain("600 s");
  });

  test("are refused once expired, but for the tolerance", async () => {
    const expired = (seconds: number) => ({ claims: { iat: NOW - seconds - 300, exp: NOW - seconds } });
    expect(await verifyToken(expired(9))).toMatchObject({ verified: true });
    expect(await reasonOf(verifyToken(expired(10)))).toContain("expired 10 s ago");
    expect(await verifyToken(expired(59), { clockTolerance: "60s" })).toMatchObject({ verified: true });
    expect((await verifyToken(expired(1), { clockTolerance: 0 })).verified).toBe(false);
  });

  test("are refused before nbf, but for the tolerance", async () => {
    expect(await verifyToken({ claims: { nbf: NOW + 10 } })).toMatchObject({ verified: true });
    expect(await reasonOf(verifyToken({ claims: { nbf: NOW + 11 } }))).toContain("only in 11 s");
    expect((await verifyToken({ claims: { nbf: NOW + 1 } }, { clockTolerance: 0 })).verified).toBe(false);
  });

  test("are refused where the token is issued in the future, but for the tolerance", async () => {
    expect(await verifyToken({ claims: { iat: NOW + 10 } })).toMatchObject({ verified: true });
    expect(await reasonOf(verifyToken({ claims: { iat: NOW + 11 } }))).toContain("future");
  });

  test("are given no more than 60 s of tolerance", async () => {
    const token = { claims: { iat: NOW - 400, exp: NOW - 61 } };
    expect((await verifyToken(token, { clockTolerance: "1h" })).verified).toBe(false);
  });
});

describe("the body", () => {
  test.each([
    ["another body", "{}", "{ }"],
    ["a body for none", "", "{}"],
    ["no body for one", "{}", ""],
    ["line ends that a proxy changed", "a\r\nb", "a\nb"],
    ["a byte order mark that was added", "{}", "\ufeff{}"],
    ["invalid UTF-8 that was replaced", Uint8Array.of(0xff), "\ufffd"],
  ])("is refused where it is not the one that was signed: %s", async (_name, signed, delivered) => {
    expect(await reasonOf(verify(requestWith(signToken({ body: signed }), delivered)))).toContain("body-hash");
  });

  test.each(["", "=", "AAAA", "A".repeat(43), `${"A".repeat(42)}B`, "not base64url!"])(
    "is refused where its hash is %j",
    async (body) => {
      expect(await reasonOf(verifyToken({ claims: { body } }))).toContain("body-hash");
    },
  );

  test("is refused where its hash is not canonical", async () => {
    const { body } = claimsOf(signToken()) as { body: string };
    for (const other of [`${body}=`, withStrayBits(body.slice(0, 43)), ` ${body}`]) {
      expect(await reasonOf(verifyToken({ claims: { body: other } }))).toContain("body-hash");
    }
  });
});

describe("the URL", () => {
  test.each([
    ["another scheme", "http://shop.example.com/consumers/receipt"],
    ["another host", "https://shop.example.com.evil.example/consumers/receipt"],
    ["another port", "https://shop.example.com:8443/consumers/receipt"],
    ["another path", "https://shop.example.com/consumers/stock"],
    ["a trailing slash", `${URL_OF_CONSUMER}/`],
    ["another case in the path", "https://shop.example.com/Consumers/receipt"],
    ["a query", `${URL_OF_CONSUMER}?epoch=0`],
    ["credentials", "https://user@shop.example.com/consumers/receipt"],
    ["a fragment", `${URL_OF_CONSUMER}#a`],
    ["no URL", "/consumers/receipt"],
    ["nothing", ""],
  ])("is refused where it was signed with %s", async (_name, sub) => {
    const reason = await reasonOf(verifyToken({ claims: { sub } }));
    expect(reason).toContain(JSON.stringify(URL_OF_CONSUMER));
    expect(reason).toContain(JSON.stringify(sub));
  });

  test("is refused where the request has another query than was signed", async () => {
    const token = signToken({ claims: { sub: `${URL_OF_CONSUMER}?epoch=a` } });
    for (const query of ["", "?epoch=b", "?epoch=a&x=1", "?epoch=%61"]) {
      expect((await verify(requestWith(token, "", `${URL_OF_CONSUMER}${query}`))).verified).toBe(false);
    }
  });

  test("is refused where the configured one cannot be read", async () => {
    expect((await verify(requestWith(signToken(), "", "not a URL"))).verified).toBe(false);
  });
});

describe("rotation", () => {
  const rotated = "sig_test_after_0123456789abcdefg";

  test("a token of the next key is verified, and says so", async () => {
    expect(await verifyToken({ key: NEXT_KEY })).toMatchObject({ verified: true, signedBy: "next" });
  });

  test("after two rotations the old keys refuse, until the new ones are deployed", async () => {
    expect(await reasonOf(verifyToken({ key: rotated }))).toContain("signing keys");
    const deployed = { currentSigningKey: rotated, nextSigningKey: CURRENT_KEY };
    expect(await verifyToken({ key: rotated }, deployed)).toMatchObject({ verified: true, signedBy: "current" });
  });

  test("all configured pairs are tried, whatever region the request names", async () => {
    const further = { keys: [{ current: rotated, next: "sig_test_region_next_0123456789" }] };
    const request = requestWith(signToken({ key: rotated }));
    request.headers.set("Upstash-Region", "EU-CENTRAL-1");
    expect(await verify(request, further)).toMatchObject({ verified: true, signedBy: "current" });
    const other = requestWith(signToken({ key: "sig_test_unknown_0123456789abcdef" }));
    other.headers.set("Upstash-Region", "US-EAST-1");
    expect((await verify(other, further)).verified).toBe(false);
  });

  test("a missing, an empty or a short key verifies nothing", async () => {
    for (const key of [undefined, "", "short"]) {
      const options = { currentSigningKey: key, nextSigningKey: key };
      expect(await reasonOf(verifyToken({ key: key ?? "" }, options))).toContain("found none");
    }
  });
});

describe("what a refusal tells", () => {
  test("no reason shows a key, a body or a signature", async () => {
    const body = '{"card":"4111 1111 1111 1111"}';
    const tokens = [
      signToken({ key: NEXT_KEY.toUpperCase(), body }),
      signToken({ body: "another" }),
      signToken({ body, claims: { exp: NOW - 100 } }),
      signToken({ body, claims: { sub: "https://evil.example/" } }),
    ];
    for (const token of tokens) {
      const reason = await reasonOf(verify(requestWith(token, body)));
      for (const secret of [CURRENT_KEY, NEXT_KEY, "4111", token.split(".")[2]!]) expect(reason).not.toContain(secret);
    }
  });

  test("a wrong signature and a wrong body take about the same time", async () => {
    const receiver = qstashReceiver({ ...keys, clock });
    const body = new Uint8Array(256 * 1_024);
    const badSignature = requestWith(signToken({ key: CURRENT_KEY.toUpperCase(), body }), body);
    const badBody = requestWith(signToken({ body: "another" }), body);
    const median = async (request: SignedRequest): Promise<number> => {
      const times: number[] = [];
      for (let i = 0; i < 60; i++) {
        const start = performance.now();
        await receiver.verify(request);
        times.push(performance.now() - start);
      }
      return times.sort((a, b) => a - b)[20]!;
    };
    for (const request of [badSignature, badBody]) await median(request);
    const [signature, bodyHash] = [await median(badSignature), await median(badBody)];
    expect(Math.max(signature, bodyHash)).toBeLessThan(5 * Math.min(signature, bodyHash) + 1);
  });
});

function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split(".")[1]!, "base64url").toString()) as Record<string, unknown>;
}

/** The same bytes in base64url that is not canonical: the unused bits of the last letter are set. */
function withStrayBits(text: string): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return text.slice(0, -1) + letters[letters.indexOf(text.at(-1)!) ^ 1];
}
