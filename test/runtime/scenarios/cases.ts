import { eventually, expect } from "./stage.ts";
import type { Stage } from "./stage.ts";
import type { Delivery } from "./service.ts";

/** Something that must be so on every runtime. */
export interface Case {
  readonly name: string;
  run(stage: Stage): Promise<void>;
}

/** All of them. The last one changes the keys that QStash signs with. */
export const CASES: readonly Case[] = [
  {
    name: "a committed message takes effect",
    async run(stage) {
      expect("the answer", (await stage.order("placed")).status, 201);
      await tookEffect(stage);
    },
  },
  {
    name: "the message of a refused request is never delivered",
    async run(stage) {
      expect("the answer", (await stage.order("refused")).status, 422);
      await nothingCame(stage);
    },
  },
  {
    name: "the message of a request that throws is never delivered",
    async run(stage) {
      expect("the answer", (await stage.order("throws")).status, 500);
      await nothingCame(stage);
    },
  },
  {
    name: "a delivery that comes twice takes effect once",
    async run(stage) {
      await stage.order("placed");
      await tookEffect(stage);
      const delivery = await stage.delivered();
      expect("the answers to copies", [await stage.deliver(delivery), await stage.deliver(delivery)], [200, 200]);
      expect("runs and effects", [await stage.count("runs"), await stage.count("effects")], [1, 1]);
    },
  },
  {
    name: "a consumer that fails is tried again",
    async run(stage) {
      await stage.order("placed", { fails: 2 });
      await tookEffect(stage);
      expect("the runs", await stage.count("runs"), 3);
    },
  },
  {
    name: "poison goes to the dead letters, and a person can send it again",
    async run(stage) {
      const answer = await stage.order("placed", { poison: true });
      const { id } = (await answer.json()) as { readonly id: string };
      const operator = stage.ac.operator(stage.env);
      let key = "";
      await eventually(async () => {
        const { items } = await operator.log.listDead({ limit: 100 });
        const letter = items.find(({ record }) => record.messageId === id);
        expect("a dead letter", letter !== undefined, true);
        key = letter!.record.key;
      });
      expect("the effects", await stage.count("effects"), 0);
      await stage.redis.set(`healed:${stage.key}`, 1);
      expect("the message id", (await operator.redrive(key)).messageId, id);
      await tookEffect(stage);
      await eventually(async () => expect("the dead letter", await operator.log.deadLetter(key), undefined));
    },
  },
  {
    name: "a sweep sends what could not be published",
    async run(stage) {
      expect("the answer", (await stage.order("placed", { losePublish: true })).status, 201);
      await eventually(async () => {
        await stage.ac.operator(stage.env).sweep();
        expect("the effects", await stage.count("effects"), 1);
      });
      expect("the runs", await stage.count("runs"), 1);
    },
  },
  {
    name: "a forged delivery is refused",
    async run(stage) {
      await stage.order("placed");
      await tookEffect(stage);
      const { headers, body } = await stage.delivered();
      const unsigned = headers.filter(([name]) => name !== SIGNATURE);
      const other = body.replace(stage.key, `${stage.key}x`);
      const token = await signedByStranger(stage, other);
      const answers = [
        await stage.deliver({ headers: unsigned, body }),
        await stage.deliver({ headers, body: other }),
        await stage.deliver({ headers: [...unsigned, [SIGNATURE, token]], body: other }),
      ];
      expect("the answers to forgeries", answers, [401, 401, 401]);
      expect("the runs", [await stage.count("runs"), await stage.count("runs", `${stage.key}x`)], [1, 0]);
    },
  },
  {
    name: "a request that is made again with its idempotency key is done once, and answered again",
    async run(stage) {
      const [status, body, order, replayed] = await stage.keyedOrder();
      expect("the first answer", [status, order, replayed], [201, stage.key, null]);
      expect("the second answer", await stage.keyedOrder(), [201, body, stage.key, "true"]);
      const [other] = await stage.keyedOrder({ fails: 1 });
      expect("the answer to another payload", other, 422);
      await tookEffect(stage);
      expect("the handler's runs", await stage.count("requests"), 1);
    },
  },
  {
    name: "a message that is signed after a rotation of the keys is taken",
    async run(stage) {
      const { QSTASH_URL, QSTASH_TOKEN } = stage.env;
      const rotated = await fetch(`${QSTASH_URL}/v2/keys/rotate`, {
        method: "POST",
        headers: { authorization: `Bearer ${QSTASH_TOKEN}` },
      });
      expect("the rotation's answer", rotated.status, 200);
      const { current } = (await rotated.json()) as { readonly current: string };
      expect("the key in force", current, stage.env.QSTASH_NEXT_SIGNING_KEY);
      await stage.order("placed");
      await tookEffect(stage);
    },
  },
];

const SIGNATURE = "upstash-signature";

async function tookEffect(stage: Stage): Promise<void> {
  await eventually(async () => expect("the effects", await stage.count("effects"), 1));
}

/** A later message has come, and a sweep has looked at all that is due: this one would have come, too. */
async function nothingCame(stage: Stage): Promise<void> {
  const later = `${stage.key}-later`;
  await stage.order("placed", { key: later });
  await eventually(async () => expect("the effects of a later one", await stage.count("effects", later), 1));
  await stage.ac.operator(stage.env).sweep();
  expect("the handler's and the consumer's runs", [await stage.count("requests"), await stage.count("runs")], [1, 0]);
}

/** A token as QStash makes it, by a key that is not QStash's. */
async function signedByStranger({ env }: Stage, body: Delivery["body"]): Promise<string> {
  const encoder = new TextEncoder();
  const now = Math.floor(Date.now() / 1_000);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(body)));
  const claims = {
    iss: "Upstash",
    sub: `${env.PUBLIC_URL}/consumers/task`,
    exp: now + 300,
    nbf: now,
    iat: now,
    jti: "jwt_stranger",
    body: `${base64Url(digest)}=`,
  };
  const part = (value: object): string => base64Url(encoder.encode(JSON.stringify(value)));
  const content = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  const key = await crypto.subtle.importKey(
    "raw",
    encoder.encode("sig_a_key_of_the_stranger's_own"),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["sign"],
  );
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(content)));
  return `${content}.${base64Url(mac)}`;
}

function base64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}
