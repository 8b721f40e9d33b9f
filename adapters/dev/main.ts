/**
 * Starts the development server from a shell:
 *
 * ```sh
 * node adapters/dev/main.ts --port 8080 --redis-port 8079
 * ```
 *
 * @module
 */
import { parseArgs, type ParseArgsConfig } from "node:util";
import { type DevServer, type DevServerOptions, startDevServer } from "./server.ts";

const FLAGS = {
  port: { type: "string", default: "8080" },
  "redis-port": { type: "string", default: "8079" },
  redis: { type: "string" },
  "time-factor": { type: "string" },
  "duplicate-rate": { type: "string" },
  "dev-defaults": { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const satisfies ParseArgsConfig["options"];

const USAGE = `usage: node adapters/dev/main.ts [flags]

  --port 8080            port of QStash, 0 for any free one
  --redis-port 8079      port of the Redis REST API, 0 for any free one
  --redis HOST:PORT      a real Redis server behind the REST API, instead of the embedded engine
  --time-factor 0.01     multiplies every wait: back-off, delays, schedules
  --duplicate-rate 0.1   share of delivered messages that are delivered once more
  --dev-defaults         the public credentials that the QStash SDK expects with QSTASH_DEV=true
  --json                 print one line of JSON instead of environment variables
  --help                 print this
`;

/** A flag that cannot be used: shown with the usage, without a stack. */
class UsageError extends Error {}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  if (isUsageError(error)) process.stderr.write(`\n${USAGE}`);
  process.exitCode = isUsageError(error) ? 2 : 1;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: FLAGS });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const server = await startDevServer(toOptions(values));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void server.close());
  process.stdout.write(values.json ? `${JSON.stringify(toJson(server))}\n` : toEnvironment(server));
}

function toOptions(values: ReturnType<typeof parseArgs<{ options: typeof FLAGS }>>["values"]): DevServerOptions {
  const timeFactor = readNumber("time-factor", values["time-factor"], 1000);
  const duplicateRate = readNumber("duplicate-rate", values["duplicate-rate"], 1);
  return {
    port: readPort("port", values.port),
    redisPort: readPort("redis-port", values["redis-port"]),
    ...(values.redis === undefined ? {} : { redis: readAddress(values.redis) }),
    qstash: {
      devDefaults: values["dev-defaults"],
      ...(timeFactor === undefined ? {} : { timeFactor }),
      ...(duplicateRate === undefined ? {} : { duplicateRate }),
    },
  };
}

function readPort(flag: string, text: string): number {
  const port = Number(text);
  if (text === "" || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new UsageError(`--${flag}: expected a port from 0 to 65535, found "${text}"`);
  }
  return port;
}

function readNumber(flag: string, text: string | undefined, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text === "" || !(value >= 0 && value <= max)) {
    throw new UsageError(`--${flag}: expected a number from 0 to ${max}, found "${text}"`);
  }
  return value;
}

function readAddress(text: string): { host: string; port: number } {
  const [, host, port] = /^(.+):(\d+)$/.exec(text) ?? [];
  if (host === undefined || port === undefined) throw new UsageError(`--redis: expected HOST:PORT, found "${text}"`);
  return { host: host.replace(/^\[(.*)\]$/, "$1"), port: readPort("redis", port) };
}

function toJson({ qstash, redis }: DevServer): object {
  const { url, token, currentSigningKey, nextSigningKey } = qstash;
  return {
    qstash: { url, token, currentSigningKey, nextSigningKey },
    redis: { url: redis.url, token: redis.token },
  };
}

function toEnvironment({ qstash, redis }: DevServer): string {
  return [
    `QSTASH_URL=${qstash.url}`,
    `QSTASH_TOKEN=${qstash.token}`,
    `QSTASH_CURRENT_SIGNING_KEY=${qstash.currentSigningKey}`,
    `QSTASH_NEXT_SIGNING_KEY=${qstash.nextSigningKey}`,
    `UPSTASH_REDIS_REST_URL=${redis.url}`,
    `UPSTASH_REDIS_REST_TOKEN=${redis.token}`,
    "",
  ].join("\n");
}

function isUsageError(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return error instanceof UsageError || code.startsWith("ERR_PARSE_ARGS_");
}
