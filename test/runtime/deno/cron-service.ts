import process from "node:process";
import { cron, serve } from "aftercommit/deno";
import { createService } from "../serving/service.ts";

const { app, options } = createService(process.env);
console.log(`a cron sweeps: ${cron(options.ac)}`);
const { port } = await serve(app, { ...options, sweepEvery: undefined });
console.log(`listening on ${port}`);
