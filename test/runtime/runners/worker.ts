import { handle } from "../scenarios/entry.ts";

export default { fetch: handle };
