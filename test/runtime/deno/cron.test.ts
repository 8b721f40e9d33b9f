import { expect, test } from "vitest";
import { findFreePort } from "../free-port.ts";
import { startGatedQStash } from "../serving/gated-qstash.ts";
import { startProgram } from "../serving/program.ts";

test("Deno's own cron sweeps at the next minute, in the place of a timer", { timeout: 120_000 }, async () => {
  const { env } = await startGatedQStash();
  const port = await findFreePort();
  const program = startProgram("deno", "test/runtime/deno/cron-service.ts", {
    ...env,
    PORT: String(port),
    PUBLIC_URL: `http://127.0.0.1:${port}`,
  });
  await program.prints(`listening on ${port}`);
  expect(program.printed()).toContain("a cron sweeps: true");
  // A timer would have begun within 30 s, a cron does in the first second of a minute.
  await program.prints("sweep 1 begins");
  expect(new Date().getSeconds()).toBeLessThan(20);
  await program.prints("sweep 1 ends");
  program.signal("SIGTERM");
  expect(await program.exited, program.printed()).toBe(0);
});
