import { Agent, request } from "node:http";

/** What a caller knows of a request. */
export type Reply =
  | { readonly status: number; readonly body: string }
  /** Nobody listened: it was not accepted. */
  | "refused"
  /** The connection broke after it was there: done or not, the caller cannot know. */
  | "unanswered";

const agent = new Agent({ keepAlive: true });

/** Posts JSON, once: without any retry, also where a kept connection turns out to be broken. */
export function post(url: string, value: unknown): Promise<Reply> {
  return new Promise((resolve) => {
    const outgoing = request(url, { method: "POST", agent, headers: { "content-type": "application/json" } });
    outgoing.once("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code === "ECONNREFUSED" ? "refused" : "unanswered"),
    );
    outgoing.once("response", (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (body += chunk));
      response.once("error", () => resolve("unanswered"));
      response.once("close", () =>
        resolve(response.complete ? { status: response.statusCode ?? 0, body } : "unanswered"),
      );
    });
    outgoing.end(JSON.stringify(value));
  });
}
