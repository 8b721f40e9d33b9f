import { describe, expect, test } from "vitest";
import {
  addressOf,
  isLoopback,
  isPath,
  isSubscriberName,
  joinUrl,
  resolveDestination,
} from "../../../src/model/destination.ts";

const resolve = (destination: string, more: Partial<Parameters<typeof resolveDestination>[1]> = {}) =>
  resolveDestination(destination, { publicUrl: "https://shop.example.com/app", dev: false, path: "routes", ...more });

function expectedOf(destination: string, more: Partial<Parameters<typeof resolveDestination>[1]> = {}): string {
  const resolved = resolve(destination, more);
  return "problem" in resolved ? resolved.problem.expected : `no problem with ${resolved.url}`;
}

describe("a destination", () => {
  test.each([
    ["/consumers/receipt", "https://shop.example.com/app/consumers/receipt"],
    ["/consumers/receipt?a=..", "https://shop.example.com/app/consumers/receipt?a=.."],
    ["https://stock.example.net/a", "https://stock.example.net/a"],
    ["https://stock.example.net./a", "https://stock.example.net./a"],
    ["https://10.20.30.40.example.com/a", "https://10.20.30.40.example.com/a"],
    ["https://stock.example.net:443/a", "https://stock.example.net/a"],
  ])("%s is called as %s", (destination, url) => {
    expect(resolve(destination)).toEqual({ url });
  });

  test.each([
    ["https://stock.example.net/a b", "blanks"],
    ["https://stock.example.net/a#b", "fragment"],
    ["https://stock.example.net/a\\b", "backslashes"],
    ["https://stock.example.net/\u007f", "blanks"],
    ["https://stock.example.net/\u0001", "blanks"],
    ["../other", "dot segments"],
    [".", "dot segments"],
    ["/a/../b", "dot segments"],
    ["/a/%2E%2e/b", "dot segments"],
    ["/a/.%2e", "dot segments"],
    ["consumers/receipt", "a path"],
    ["https://user@stock.example.net/", "credentials"],
    ["https://:secret@stock.example.net/", "credentials"],
    ["http://stock.example.net/", "an https URL"],
    ["https://stock.example.net:8443/", "port"],
    ["https://10.20.30.40/", "public host name"],
    ["https://[2001:db8::1]/", "public host name"],
    ["https://stock/", "public host name"],
    ["https://stock.internal./", "public host name"],
    ["https://127.0.0.1/", "public host name"],
  ])("%s is none, as it lacks: %s", (destination, expected) => {
    expect(expectedOf(destination)).toContain(expected);
  });

  test("that is a path needs a publicUrl", () => {
    expect(expectedOf("/consumers/receipt", { publicUrl: undefined })).toContain("publicUrl");
  });

  test("on this machine is called as it is in dev mode, by http and any port, and is none otherwise", () => {
    for (const url of ["http://localhost:3000/a", "http://127.100.20.3:9/a", "http://[::1]/a"]) {
      expect(resolve(url, { dev: true })).toEqual({ url });
      expect(expectedOf(url)).toContain("https");
    }
    expect(expectedOf("http://stock.example.net/a", { dev: true })).toContain("https");
  });

  test("that is none is told of where it stands, with its beginning", () => {
    const resolved = resolve(`https://stock.example.net/${"a".repeat(500)} b`, { path: "routes.a[1]" });
    expect(resolved).toMatchObject({
      problem: { path: "routes.a[1]", found: expect.stringMatching(/^"https:.{194}"$/) },
    });
  });

  test("that begins with the scheme of a transport's channels stands for itself, and must name one", () => {
    const channels = { queue: ["orders", "stock"], none: [] };
    expect(resolve("queue:stock/receipt", { channels })).toEqual({ url: "queue:stock/receipt" });
    for (const other of ["queue:other/receipt", "queue:stock", "queue:", "queue:stock/a b", "none:stock/receipt"]) {
      expect(expectedOf(other, { channels }), other).toContain("the name of a channel");
    }
    expect(resolve("queue:other/receipt", { channels })).toMatchObject({
      problem: { remedy: expect.stringContaining('"queue:orders/…", "queue:stock/…"') },
    });
    expect(resolve("none:stock/receipt", { channels })).toMatchObject({
      problem: { remedy: "Give the transport a channel." },
    });
    expect(expectedOf("queue:stock/receipt")).toContain("https");
    expect(expectedOf("constructor:stock/receipt", { channels })).toContain("https");
    expect(resolve("https://stock.example.net/a", { channels })).toEqual({ url: "https://stock.example.net/a" });
  });
});

test("an address of a channel has a scheme, a channel and a subscriber, and is no URL", () => {
  expect(addressOf("queue:stock/receipt.v1")).toEqual({ scheme: "queue", channel: "stock", subscriber: "receipt.v1" });
  for (const other of [
    "https:stock/receipt",
    "http:stock/receipt",
    "queue:stock",
    "queue:/a",
    "Queue:a/b",
    "a:b/c/d",
  ]) {
    expect(addressOf(other), other).toBeUndefined();
  }
});

test("a subscriber's name has up to 128 letters, the first of them no mark", () => {
  for (const name of ["a", "Receipt_1.x-y", "a".repeat(128)]) expect(isSubscriberName(name), name).toBe(true);
  for (const name of ["", "-a", ".a", "a/b", "a b", "a".repeat(129)]) expect(isSubscriberName(name), name).toBe(false);
});

test("a path is one as a URL has it", () => {
  for (const path of ["/", "/a", "/a/b-c_d"]) expect(isPath(path), path).toBe(true);
  for (const path of ["", "a", "/a b", "/a?b", "/a/../b", "//host/a", "https://host/a", "http://["]) {
    expect(isPath(path), path).toBe(false);
  }
});

test("a path is appended to a base with one slash between them", () => {
  expect(joinUrl("https://shop.example.com", "/a")).toBe("https://shop.example.com/a");
  expect(joinUrl("https://shop.example.com/app//", "/a")).toBe("https://shop.example.com/app/a");
});

test("this machine has all of 127.0.0.0/8, and no name that begins like it", () => {
  for (const host of ["localhost", "127.0.0.1", "127.255.10.3", "[::1]"]) {
    expect(isLoopback(new URL(`http://${host}/`)), host).toBe(true);
  }
  for (const host of ["127.0.0.1.example.com", "128.0.0.1", "localhost.example.com", "[::2]"]) {
    expect(isLoopback(new URL(`http://${host}/`)), host).toBe(false);
  }
});
