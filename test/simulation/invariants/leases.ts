import type { Process } from "../process.ts";
import type { Violate } from "./rows.ts";

/** Sees who holds which message, by what an inbox has answered. */
export interface LeaseWatch {
  acted(method: string, key: string, token: string, now: number, argument: unknown, found: unknown): void;
  /** The store's clock shows so much: what has lapsed by then may be another's, even if the clock jumps back. */
  passes(now: number): void;
  /** A handler begins, under the lease that is held now; the function that it returns ends it. */
  begins(key: string, process: Process): () => void;
  /** The store's clock has jumped: a lease may be over sooner than its run could know. */
  jumped(): void;
  /** Entries that Redis has lost. */
  forget(keys: ReadonlySet<string>): void;
}

/** Watches that at most one run holds a valid lease of a message, and that one run alone has done it. */
export function leaseWatch(violate: Violate): LeaseWatch {
  const leases = new Map<string, { readonly token: string; readonly until: number; lapsed: boolean }>();
  const done = new Map<string, string>();
  /** The processes that run a handler, by the token of its lease. */
  const running = new Map<string, Process>();
  /** Redis has lost something of these: an older lease of the same run may stand there again. */
  const unknown = new Set<string>();
  let unsure = false;

  const hold = (key: string, token: string, until: number): void => {
    leases.set(key, { token, until, lapsed: false });
    unknown.delete(key);
  };

  return {
    passes(now) {
      for (const lease of leases.values()) lease.lapsed ||= now > lease.until;
    },

    acted(method, key, token, now, argument, found) {
      const held = leases.get(key);
      const isUnknown = held === undefined && unknown.has(key);
      if (method === "claim" && (found as { readonly state: string }).state === "claimed") {
        if (held?.lapsed === false && held.token !== token)
          violate("one valid lease", `${key} was claimed while another run held it`);
        hold(key, token, now + (argument as number));
      }
      if (method === "renew" && found === true) {
        if (!isUnknown && held?.token !== token)
          violate("one valid lease", `${key} was renewed by a run that does not hold it`);
        hold(key, token, now + (argument as number));
      }
      if (method === "complete" && found === "completed") {
        const by = done.get(key);
        if (by !== undefined && by !== token) violate("one run has done a message", `${key} was completed twice`);
        if (by === undefined && !isUnknown && (held?.token !== token || now > held.until))
          violate("one valid lease", `${key} was completed by a run that does not hold it`);
        done.set(key, token);
        leases.delete(key);
      }
      if (method === "release" && held?.token === token) leases.delete(key);
    },
    begins(key, process) {
      const token = leases.get(key)?.token;
      if (token === undefined || unsure) return () => undefined;
      if (running.get(token)?.alive === true)
        violate("one valid lease", `a handler of ${key} began while another one held it`);
      running.set(token, process);
      return () => running.delete(token);
    },
    jumped() {
      unsure = true;
    },
    forget(keys) {
      for (const key of keys) {
        if (leases.delete(key)) unknown.add(key);
        done.delete(key);
      }
    },
  };
}
