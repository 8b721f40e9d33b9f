import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import { topic } from "aftercommit";
import { fromBase64Url } from "../../../src/model/bytes.ts";
import { decodeRecord, isDeliveryKey } from "../../../src/model/delivery.ts";
import { isLoopback, isPath, joinUrl, resolveDestination } from "../../../src/model/destination.ts";
import { parseDuration } from "../../../src/model/duration.ts";
import { parseEnvelope, unstampEnvelope } from "../../../src/model/envelope.ts";
import { headerProblems } from "../../../src/model/headers.ts";
import { isTransactionId, madeAt } from "../../../src/model/ids.ts";
import { isRetryDelay } from "../../../src/model/topic.ts";

const LENGTH = 50_000;
const LIMIT_MILLIS = 50;

/** What makes a careless expression go back and forth. */
const inputs = [
  "a",
  "0",
  "-",
  ".",
  "/",
  "//a",
  "../",
  "%2e",
  "_0",
  " ",
  "\t",
  "a.",
  "local.",
  "9.9",
  "=",
  "{",
  '"',
  "\\",
  "é",
].flatMap((part) => {
  const long = part.repeat(Math.ceil(LENGTH / part.length));
  return [long, `${long}!`, `!${long}`, `/${long}`, `https://${long}`, `https://a.example/${long}\u0001`];
});

const readers: Record<string, (text: string) => unknown> = {
  fromBase64Url,
  isDeliveryKey,
  isTransactionId,
  madeAt,
  isRetryDelay,
  isPath,
  parseDuration,
  parseEnvelope,
  unstampEnvelope,
  joinUrl: (text) => joinUrl("https://a.example", `/${text}`),
  "joinUrl's base": (text) => joinUrl(`https://a.example/${text}`, "/x"),
  isLoopback: (text) => isLoopback({ hostname: text } as URL),
  decodeRecord: (text) => decodeRecord(text, text),
  "the name of a header": (text) => headerProblems({ [text]: "x" }),
  "the value of a header": (text) => headerProblems({ "x-a": text }),
  "the name of a topic": (text) => topic(text, z.unknown()),
  resolveDestination: (text) => resolveDestination(text, { publicUrl: "https://a.example", dev: false, path: "" }),
};

describe("50 KB of anything is read in no time by", () => {
  for (const [name, read] of Object.entries(readers)) {
    test(name, () => {
      for (const input of inputs) {
        const before = process.cpuUsage();
        try {
          read(input);
        } catch {
          // Refusing it is fine.
        }
        // Of the processor: the machine may have other work.
        const { user, system } = process.cpuUsage(before);
        expect((user + system) / 1_000, input.slice(0, 20)).toBeLessThan(LIMIT_MILLIS);
      }
    });
  }
});
