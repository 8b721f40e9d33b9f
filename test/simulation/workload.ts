import type { Choices } from "./choices.ts";
import { person } from "./person.ts";
import { kill } from "./process.ts";
import { job } from "./shop-producers.ts";
import type { Request } from "./plan.ts";
import { signed } from "./ports/qstash-signer.ts";
import { SHOP, SOURCE, transfer } from "./topics.ts";
import type { Slot, World } from "./world.ts";

/** How long a store is out of reach. */
const OUTAGES = [5_000, 30_000, 200_000] as const;
/** By how much a store's clock jumps. */
const JUMPS = [2_000, -2_000, 60_000, -60_000] as const;

/** Plans all that happens while things go wrong: requests, sweeps, and what befalls stores, keys, processes and people. */
export function plan(world: World, choices: Choices): void {
  for (const request of world.requests)
    world.scheduler.after(request.plan.atMillis, "request", () => make(world, request));
  for (const slot of world.slots) if (slot.role === "sweeper") sweepNowAndThen(world, slot);

  const events: readonly (() => void)[] = [
    () => undefined,
    () => world.redis.copy(),
    () => world.redis.copy(),
    () => world.oracle.log.loses(world.redis.failOver()),
    () => world.oracle.log.loses(world.redis.flush()),
    () => outage(world, (down) => (world.redis.down = down)),
    () => outage(world, (full) => (world.redis.full = full)),
    () => outage(world, (down) => (world.main.down = down)),
    () => outage(world, (down) => (world.books.down = down)),
    () => {
      world.redis.skewMillis += JUMPS[world.faults.below(JUMPS.length)]!;
      world.oracle.log.leases.jumped();
    },
    () => void (world.main.skewMillis += JUMPS[world.faults.below(JUMPS.length)]!),
    () => world.qstash.rotate(),
    () => die(world, choices),
    () => die(world, choices),
    () => forge(world),
    () => {
      const { env, service } = world.slots[0]!;
      void person(world, service.ac.operator(env)).catch(() => undefined);
    },
    () => world.pause(world.slots[choices.below(world.slots.length)]!.env.process),
  ];
  for (let left = choices.weighted([20, 20, 20, 15, 10, 10, 5]); left > 0; left--) {
    const happen = events[choices.below(events.length)]!;
    world.scheduler.after(choices.below(world.setup.troubleMillis), "event", () => {
      if (!world.faults.ended) happen();
    });
  }
}

/** Makes a request, of one of the shops that are up. */
function make(world: World, request: Request): void {
  const { route } = request.plan;
  const alive = world.slots.filter(({ role, env }) => role === "shop" && env.process.alive);
  const slot = alive.length > 1 ? alive[world.faults.below(alive.length)] : alive[0];
  if (slot === undefined) return;
  const { service, env } = slot;
  if (route === "job") return void job(request, env, service.ac).catch(() => undefined);
  void service.app.request(`/${route}/${request.number}`, { method: "POST" }, env, env);
}

/** A cron that calls a sweep at its process, whether or not the last one has ended. */
function sweepNowAndThen(world: World, slot: Slot): void {
  const tick = (): void => {
    if (world.faults.ended) return;
    if (slot.env.process.alive)
      void slot.service.ac
        .operator(slot.env)
        .sweep()
        .catch(() => undefined);
    world.scheduler.after(world.setup.sweepEveryMillis, "cron", tick);
  };
  world.scheduler.after(world.setup.sweepEveryMillis, "cron", tick);
}

function outage(world: World, set: (on: boolean) => void): void {
  set(true);
  world.scheduler.after(OUTAGES[world.faults.below(OUTAGES.length)]!, "mended", () => set(false));
}

/** A stranger sends money that nobody has, signed by a key of his own. */
function forge(world: World): void {
  const time = new Date(world.scheduler.now).toISOString();
  const body = JSON.stringify({
    specversion: "1.0",
    id: "forged",
    source: SOURCE,
    type: transfer.name,
    time,
    decidedat: time,
    datacontenttype: "application/json",
    transactionid: "forged",
    messageindex: 0,
    data: { to: 0, amount: 1_000_000 },
  });
  const url = `${SHOP}/consumers/credit`;
  const headers = { "Upstash-Signature": signed("a key of the stranger's own choice", url, body, world.scheduler.now) };
  void world.reach(url)?.request(url, { method: "POST", headers, body });
}

function die(world: World, choices: Choices): void {
  const { process } = world.slots[choices.below(world.slots.length)]!.env;
  world.kill(process);
  kill(process, false);
}
