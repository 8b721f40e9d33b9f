import { request } from "node:http";

/** What a caller knows of a request. */
export type Reply =
  | { readonly status: number; readonly body: string }
  /** Nobody listened: it was not accepted. */
  | "refused"
  /** The connection broke after it was there: done or not, the caller cannot know. */
  | "in doubt";

/** Posts JSON, once: on a connection of its own, and without any retry. */
export function post(url: string, value: unknown): Promise<Reply> {
  return new Promise((resolve) => {
    const outgoing = request(url, { method: "POST", agent: false, headers: { "content-type": "application/json" } });
    outgoing.once("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code === "ECONNREFUSED" ? "refused" : "in doubt"),
    );
    outgoing.once("response", (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (body += chunk));
      response.once("error", () => resolve("in doubt"));
      response.once("close", () =>
        resolve(response.complete ? { status: response.statusCode ?? 0, body } : "in doubt"),
      );
    });
    outgoing.end(JSON.stringify(value));
  });
}
