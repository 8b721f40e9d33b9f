import * as z from "zod/mini";
import type { AftercommitOptions } from "aftercommit";
import { compensation, compensations, directCalls, step, stepRoutes } from "../../../src/patterns/index.ts";
import type { Branch, Step } from "../../../src/patterns/index.ts";
import { PUBLIC_URL } from "../../support/world.ts";
import type { ServiceUnderTest, World } from "../../support/world.ts";
import { SECRET } from "./participants-world.ts";
import type { Line } from "./participants-world.ts";

const names = ["flight", "hotel", "car"] as const;
type Name = (typeof names)[number];
const schema = z.object({ trip: z.string() });

/** Three steps of other services. */
export const steps: Readonly<Record<Name, Step<{ trip: string }>>> = {
  flight: step("flight", { schema }),
  hotel: step("hotel", { schema }),
  car: step("car", { schema }),
};

/** The services that do the steps, and what they have done. */
export interface Travel {
  readonly options: Partial<AftercommitOptions>;
  /** Does the steps. */
  readonly agency: ServiceUnderTest;
  /** Every effect, in order: `"hotel do"`. */
  readonly effects: string[];
  readonly calls: string[];
  line: Line;
  hook: (what: string, branch: Branch<unknown>) => unknown;
  /** Mounts the consumer of compensations on a service of the caller. */
  mount<S extends ServiceUnderTest>(service: S): S;
  /** Delivers what the transport took, and what that leads to, to a service of the caller. */
  deliver(service?: ServiceUnderTest): Promise<void>;
}

export function travelOf(w: World): Travel {
  const effects: string[] = [];
  const calls: string[] = [];
  const made = { line: ((pass) => pass()) as Line, hook: (() => undefined) as Travel["hook"] };
  const options: Partial<AftercommitOptions> = {
    calls: directCalls({
      secrets: [SECRET],
      fetch: (url, init) => {
        calls.push(url);
        return made.line(async () => agency.app.request(url, init), url, init);
      },
    }),
    routes: {
      [compensation.name]: "/compensations",
      ...Object.fromEntries(names.map((name) => [name, `${PUBLIC_URL}/steps/${name}`])),
    },
  };
  const agency = w.service({ ...options, databases: undefined });
  for (const name of names) {
    const does = (kind: string) => async (branch: Branch<unknown>) => {
      await made.hook(`${name} ${kind}`, branch);
      effects.push(`${name} ${kind}`);
      return { kind };
    };
    agency.app.route(
      `/steps/${name}`,
      stepRoutes(agency.ac, steps[name], { do: does("do"), compensate: does("compensate") }),
    );
  }
  const mount: Travel["mount"] = (service) => {
    service.app.post("/compensations", compensations(service.ac));
    return service;
  };
  return {
    options,
    agency,
    effects,
    calls,
    get line() {
      return made.line;
    },
    set line(line) {
      made.line = line;
    },
    get hook() {
      return made.hook;
    },
    set hook(hook) {
      made.hook = hook;
    },
    mount,
    async deliver(service = mount(w.service(options))) {
      await w.deliver(service.app);
      await service.ac.drain();
      // What the consumer sent after its answer.
      await w.deliver(service.app);
    },
  };
}
