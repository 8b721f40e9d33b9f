import type { ConfigurationProblem } from "../errors.ts";
import { utf8Length } from "./bytes.ts";

/** How many bytes the names and values of a message's headers may have together. */
export const MAX_HEADER_BYTES = 8_192;

/** Names that a message may not carry: the transport's, the connection's and those that hold credentials. */
const REFUSED =
  /^(upstash-.*|aftercommit-.*|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|host|content-length|content-type|authorization|cookie|set-cookie)$/i;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\t\x20-\x7e]*$/;

/** What is wrong with the headers that a message should carry; empty where nothing is. */
export function headerProblems(headers: Readonly<Record<string, string>>): ConfigurationProblem[] {
  const problems: ConfigurationProblem[] = [];
  let bytes = 0;
  for (const [name, value] of Object.entries(headers)) {
    bytes += utf8Length(name) + utf8Length(value);
    if (!TOKEN.test(name)) {
      problems.push(problem("a header name of token characters", JSON.stringify(name), "Use letters, digits and '-'."));
    } else if (REFUSED.test(name)) {
      problems.push(
        problem(
          "a header of your own",
          JSON.stringify(name),
          "Names of the transport, of the connection and of credentials are not forwarded; use an x- name or the message's data.",
        ),
      );
    }
    if (typeof value !== "string" || !VALUE.test(value)) {
      problems.push(
        problem(
          `printable ASCII in the header "${name.slice(0, 64)}"`,
          "other characters",
          "Encode the value, or put it into the data.",
        ),
      );
    }
  }
  if (bytes > MAX_HEADER_BYTES) {
    problems.push(
      problem(`at most ${MAX_HEADER_BYTES} bytes of headers`, `${bytes}`, "Put what is long into the message's data."),
    );
  }
  return problems;
}

/** Headers with others in their place; names are the same in any case. */
export function withHeaders(
  headers: Readonly<Record<string, string>> = {},
  others: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const replaced = new Set(Object.keys(others).map((name) => name.toLowerCase()));
  const kept = Object.entries(headers).filter(([name]) => !replaced.has(name.toLowerCase()));
  return { ...Object.fromEntries(kept), ...others };
}

function problem(expected: string, found: string, remedy: string): ConfigurationProblem {
  return { path: "headers", expected, found, remedy };
}
