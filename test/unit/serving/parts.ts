import type { Event } from "aftercommit";
import type { ServeOptions } from "../../../adapters/serving/options.ts";
import type { Host } from "../../../adapters/serving/server.ts";
import type { Listener } from "../../../adapters/serving/shutdown.ts";

/** A promise that the test resolves. */
export interface Gate {
  readonly passed: Promise<void>;
  open(): void;
}

export function gate(): Gate {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open: () => open() };
}

/** A listener without a network: requests end when the test says so. */
export function fakeListener(requests: Gate, inFlight = 1): Listener & { readonly calls: string[] } {
  const calls: string[] = [];
  return {
    calls,
    port: 3000,
    async stop() {
      calls.push("stop");
      await requests.passed;
    },
    inFlight: () => inFlight,
    cut: () => void calls.push("cut"),
  };
}

/** A process that gets signals of the test's. */
export function fakeHost(): Host & { readonly exits: number[]; signal(name: string): void; listening(): number } {
  const heard = new Map<() => void, string>();
  const exits: number[] = [];
  return {
    exits,
    onSignal(name, listener) {
      heard.set(listener, name);
      return () => void heard.delete(listener);
    },
    exit: (code) => void exits.push(code),
    signal(name) {
      for (const [listener, of] of heard) if (of === name) listener();
    },
    listening: () => heard.size,
  };
}

/** A service whose sweeps and background work the test controls, and what its observer was told. */
export function fakeService(
  sweep: (options?: { readonly maxMillis?: number }) => Promise<unknown> = () => Promise.resolve(),
  drain: () => Promise<void> = () => Promise.resolve(),
) {
  const events: Event[] = [];
  const options: ServeOptions = {
    ac: { operator: () => ({ sweep }), drain },
    observer: { event: (event) => void events.push(event) },
  };
  const told = (): string[] =>
    events.flatMap((event) => (event.type === "background" ? [(event.error as Error).message] : []));
  return { options, told };
}
