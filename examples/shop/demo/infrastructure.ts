import { fileURLToPath } from "node:url";
import type { Processes } from "./processes.ts";

/** Where QStash and Redis are, and how to get in. */
export interface Infrastructure {
  readonly qstash: {
    readonly url: string;
    readonly token: string;
    readonly currentSigningKey: string;
    readonly nextSigningKey: string;
  };
  readonly redis: { readonly url: string; readonly token: string };
}

const ENGINE = fileURLToPath(new URL("engine.ts", import.meta.url));

/** The share of delivered messages that QStash delivers once more. */
export const DUPLICATE_RATE = 0.1;

/** Starts the embedded QStash and Redis, in a process of their own; resolves when they listen. */
export function startInfrastructure(processes: Processes): Promise<Infrastructure> {
  return new Promise((resolve) => {
    processes.start("infrastructure", {
      args: [ENGINE],
      env: {},
      onLine: (line) => {
        if (line.startsWith(`{"qstash":`)) resolve(JSON.parse(line) as Infrastructure);
      },
    });
  });
}
