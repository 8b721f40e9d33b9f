/**
 * An order service on Cloudflare alone: a Worker, a D1 database that decides, a queue that carries, and a Cron Trigger
 * that finishes what a crash leaves. See docs/cloudflare.md.
 */
import { worker } from "aftercommit/cloudflare";
import { queueHandler } from "aftercommit/cloudflare-queues";
import { app } from "./app.ts";
import { ac, orderPlaced } from "./service.ts";
import { takeFromStock, writeReceipt } from "./subscribers.ts";

ac.subscribe(orderPlaced, "receipt", writeReceipt);
ac.subscribe(orderPlaced, "stock", takeFromStock);

export default worker(app, ac, { queue: queueHandler(ac, { deadLetterQueues: ["orders-dead"] }) });
