import { createHmac, randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { directCalls } from "../../../src/patterns/index.ts";
import { parseWebhookSecret, signWebhook, verifyWebhook } from "../../../src/patterns/webhook-signature.ts";
import { webCrypto } from "../../../src/system/crypto.ts";

const NOW = 1_800_000_000_000;
const [key, other] = [randomBytes(32), randomBytes(24)];
const body = '{"a":"ü"}';

/** The same signature by Node's own HMAC, as any other implementation of Standard Webhooks makes it. */
function byNode(secret: Uint8Array, id: string, seconds: number, text: string): string {
  return `v1,${createHmac("sha256", secret).update(`${id}.${seconds}.${text}`).digest("base64")}`;
}

async function verify(
  headers: Record<string, string>,
  options: { readonly keys?: Uint8Array[]; readonly text?: string; readonly now?: number } = {},
) {
  const { keys = [key], text = body, now = NOW } = options;
  return verifyWebhook(webCrypto, keys, { headers: new Headers(headers), body: Buffer.from(text) }, now);
}

describe("signatures of direct calls", () => {
  test.each([24, 32, 63, 64])("a key of %i bytes signs as Node's own HMAC does", async (length) => {
    const secret = randomBytes(length);
    const headers = await signWebhook(webCrypto, secret, { id: "branch-1_0", at: NOW + 999, body });
    expect(headers).toEqual({
      "webhook-id": "branch-1_0",
      "webhook-timestamp": "1800000000",
      "webhook-signature": byNode(secret, "branch-1_0", 1_800_000_000, body),
    });
    expect(await verify(headers, { keys: [secret] })).toEqual({ verified: true, id: "branch-1_0" });
  });

  test("the example of the specification's reference implementation verifies", async () => {
    const secret = parseWebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")!;
    const text = '{"test": 2432232314}';
    const headers = await signWebhook(webCrypto, secret, {
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
      at: 1_614_265_330_000,
      body: text,
    });
    expect(headers["webhook-signature"]).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  });

  test("any of the keys may have signed, and any of the signatures may be the right one", async () => {
    const headers = await signWebhook(webCrypto, key, { id: "m1", at: NOW, body });
    expect(await verify(headers, { keys: [other, key] })).toMatchObject({ verified: true });
    const several = {
      ...headers,
      "webhook-signature": `v1a,AAAA ${byNode(other, "m1", NOW / 1_000, body)} ${headers["webhook-signature"]}`,
    };
    expect(await verify(several)).toMatchObject({ verified: true });
    expect(await verify(headers, { keys: [other] })).toMatchObject({ verified: false });
    expect(await verify(headers, { keys: [] })).toMatchObject({ verified: false });
  });

  test("a call is taken for five minutes, before and after its time, and not longer", async () => {
    const headers = await signWebhook(webCrypto, key, { id: "m1", at: NOW, body });
    for (const now of [NOW - 300_000, NOW + 300_000])
      expect(await verify(headers, { now })).toMatchObject({ verified: true });
    for (const now of [NOW - 300_001, NOW + 300_001])
      expect(await verify(headers, { now })).toMatchObject({ verified: false });
  });

  test("nothing that is signed can be changed", async () => {
    const headers = await signWebhook(webCrypto, key, { id: "m1", at: NOW, body });
    expect(await verify(headers, { text: `${body} ` })).toMatchObject({ verified: false });
    expect(await verify({ ...headers, "webhook-id": "m2" })).toMatchObject({ verified: false });
    expect(await verify({ ...headers, "webhook-timestamp": String(NOW / 1_000 + 1) })).toMatchObject({
      verified: false,
    });
  });

  test.each([
    ["no id", { "webhook-id": "" }],
    ["an id with a dot, which could shift what is signed", { "webhook-id": "m1.1" }],
    ["no time", { "webhook-timestamp": "" }],
    ["a time in words", { "webhook-timestamp": "1e9" }],
    ["no signature", { "webhook-signature": "" }],
    ["a signature of another version", { "webhook-signature": "v2,AAAA" }],
    ["an empty signature", { "webhook-signature": "v1," }],
    ["base64 of the URL's kind", { "webhook-signature": "v1,__--" }],
    ["padding in the middle", { "webhook-signature": "v1,AA=A" }],
  ])("%s is refused, and throws nothing", async (_, changed) => {
    const headers = await signWebhook(webCrypto, key, { id: "m1", at: NOW, body });
    expect(await verify({ ...headers, ...changed })).toMatchObject({ verified: false });
  });

  test("a signature after many others is not looked at", async () => {
    const headers = await signWebhook(webCrypto, key, { id: "m1", at: NOW, body });
    const many = `${"v1,AAAA ".repeat(8)}${headers["webhook-signature"]}`;
    expect(await verify({ ...headers, "webhook-signature": many })).toMatchObject({ verified: false });
  });
});

describe("secrets", () => {
  test("a secret is whsec_ and the base64 of 24 to 64 bytes", () => {
    const secretOf = (length: number) => `whsec_${Buffer.alloc(length, 255).toString("base64")}`;
    for (const length of [24, 32, 64])
      expect(parseWebhookSecret(secretOf(length))).toEqual(new Uint8Array(length).fill(255));
    for (const length of [0, 23, 65]) expect(parseWebhookSecret(secretOf(length))).toBeUndefined();
    for (const text of ["", "whsec_", secretOf(32).slice(6), secretOf(32).replace("whsec_", "whpk_"), "whsec_?!"])
      expect(parseWebhookSecret(text)).toBeUndefined();
  });

  test("what is wrong with them is told with the rest of the configuration, and never shown", () => {
    expect(directCalls({ secrets: [] }).problems!()).toMatchObject([{ path: "calls.secrets" }]);
    const problems = directCalls({ secrets: ["hunter2", undefined] }).problems!();
    expect(problems.map(({ path, found }) => [path, found])).toEqual([
      ["calls.secrets[0]", "another text"],
      ["calls.secrets[1]", "nothing"],
    ]);
    expect(JSON.stringify(problems)).not.toContain("hunter2");
  });
});
