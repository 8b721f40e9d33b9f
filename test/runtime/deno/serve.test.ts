import { servingSuite } from "../serving/suite.ts";

servingSuite("deno");
