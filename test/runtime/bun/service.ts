import process from "node:process";
import { serve } from "aftercommit/bun";
import { createService } from "../serving/service.ts";

const { app, options } = createService(process.env);
const { port } = await serve(app, options);
console.log(`listening on ${port}`);
