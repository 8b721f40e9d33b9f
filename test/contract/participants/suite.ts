import { expect, onTestFinished, test } from "vitest";
import { newBranch, participantAt, RefusedError } from "./participant-under-test.ts";
import type { Kind, ParticipantUnderTest, Place } from "./participant-under-test.ts";

const KINDS: readonly Kind[] = ["try", "confirm", "cancel"];
export const LENGTH = 4;
const DEFAULT_ROUNDS = 20;

/** Every order of try, confirm and cancel, with repetitions, up to a length. */
export function sequences(length: number): readonly (readonly Kind[])[] {
  if (length === 0) return [[]];
  const shorter = sequences(length - 1);
  const longest = shorter.filter((sequence) => sequence.length === length - 1);
  return [...shorter, ...longest.flatMap((sequence) => KINDS.map((kind) => [...sequence, kind]))];
}

/** What a branch must do at each step of a sequence. */
export function expected(sequence: readonly Kind[]): {
  readonly statuses: readonly number[];
  readonly effects: readonly Kind[];
} {
  let tried = false;
  let shut = false;
  let direction: Kind | undefined;
  const effects: Kind[] = [];
  const done = new Set<Kind>();
  const step = (kind: Kind): number => {
    if (done.has(kind)) return 200;
    if (kind === "try") {
      if (shut) return 409;
      tried = true;
    } else if (kind === "confirm") {
      if (!tried || direction === "cancel") return 489;
      direction = "confirm";
    } else {
      if (!tried) {
        shut = true;
        done.add(kind);
        return 200;
      }
      if (direction === "confirm") return 489;
      direction = "cancel";
    }
    effects.push(kind);
    done.add(kind);
    return 200;
  };
  return { statuses: sequence.map(step), effects };
}

/** What every participant must do, whatever its branches are kept in. `make` makes a place that shares nothing. */
export function participantSuite(make: () => Promise<Place>): void {
  const opened = async (): Promise<Place> => {
    const place = await make();
    onTestFinished(async () => place.dispose?.());
    return place;
  };
  const inDatabase = (p: ParticipantUnderTest): boolean => p.place.database !== undefined;
  const sorted = (kinds: readonly Kind[]): readonly Kind[] => [...kinds].sort();

  /** Does one thing until it is answered for good, as a caller or the transport does. */
  const persist = async (p: ParticipantUnderTest, kind: Kind, branch: string): Promise<number> => {
    for (let attempt = 0; attempt < 200; attempt++) {
      const { status } = await p.act(kind, branch);
      if (status !== 503 && status !== 500) return status;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(`expected an answer to the ${kind} of "${branch}"`);
  };

  /** What must hold of a branch once all is answered, whatever the order was. */
  const check = async (p: ParticipantUnderTest, branch: string, statuses: ReadonlyMap<Kind, readonly number[]>) => {
    const effects = await p.effects(branch);
    const has = (kind: Kind): boolean => effects.includes(kind);
    const ended = (kind: Kind): boolean => statuses.get(kind)?.includes(200) ?? false;
    expect(new Set(effects).size, `each effect once: ${effects.join()}`).toBe(effects.length);
    expect(has("confirm") && has("cancel"), "never both directions").toBe(false);
    if (ended("try")) expect(has("try")).toBe(true);
    if (ended("cancel")) expect(has("cancel"), "a cancel undoes what was tried, and nothing else").toBe(has("try"));
    if (has("confirm")) expect(has("try")).toBe(true);
    if (!inDatabase(p) && has("cancel")) expect(effects.indexOf("cancel")).toBeGreaterThan(effects.indexOf("try"));
  };

  test(`every order of try, confirm and cancel up to ${LENGTH} of them, with repetitions, comes to what it must`, async () => {
    const p = participantAt(await opened());
    for (const sequence of sequences(LENGTH)) {
      const branch = newBranch();
      const statuses: number[] = [];
      for (const kind of sequence) statuses.push((await p.act(kind, branch)).status);
      const right = expected(sequence);
      expect(statuses, sequence.join()).toEqual(right.statuses);
      expect(sorted(await p.effects(branch)), sequence.join()).toEqual(sorted(right.effects));
    }
  }, 120_000);

  test("whatever runs at once, each effect happens once, in one direction, and a cancel leaves nothing that was tried", async () => {
    const place = await opened();
    const shared: string[] = [];
    const [p, other] = [participantAt(place, shared), participantAt(place, shared)];
    const crowds: readonly (readonly Kind[])[] = [
      ["try", "try"],
      ["try", "cancel"],
      ["cancel", "try"],
      ["try", "try", "cancel", "cancel"],
      ["cancel", "cancel", "try"],
      ["try", "confirm", "cancel"],
      ["confirm", "confirm", "try", "cancel"],
    ];
    for (let round = 0; round < (place.rounds ?? DEFAULT_ROUNDS); round++) {
      for (const crowd of crowds) {
        const branch = newBranch();
        const statuses = new Map<Kind, number[]>(KINDS.map((kind) => [kind, []]));
        await Promise.all(
          crowd.map(async (kind, i) => {
            statuses.get(kind)!.push(await persist(i % 2 === 0 ? p : other, kind, branch));
          }),
        );
        await check(p, branch, statuses);
        // What comes late changes nothing any more.
        const before = await p.effects(branch);
        for (const kind of crowd) await persist(p, kind, branch);
        if (statuses.get("cancel")!.includes(200)) expect(await p.effects(branch)).toEqual(before);
      }
    }
  }, 240_000);

  test("confirms and cancels at once, after a try, go one way", async () => {
    const p = participantAt(await opened());
    for (let round = 0; round < (p.place.rounds ?? DEFAULT_ROUNDS); round++) {
      const branch = newBranch();
      await p.act("try", branch);
      const statuses = await Promise.all(
        (["confirm", "cancel", "confirm", "cancel"] as const).map((kind) => persist(p, kind, branch)),
      );
      const effects = await p.effects(branch);
      const way = effects.includes("confirm") ? "confirm" : "cancel";
      expect(sorted(effects)).toEqual(sorted(["try", way]));
      const [won, lost] = way === "confirm" ? [0, 1] : [1, 0];
      expect([statuses[won], statuses[won + 2]]).toEqual([200, 200]);
      expect([statuses[lost], statuses[lost + 2]]).toEqual([489, 489]);
    }
  }, 120_000);

  test("a cancel that meets a running try waits for it, or is asked to come again, and then undoes it", async () => {
    const place = await opened();
    const shared: string[] = [];
    const [p, other] = [participantAt(place, shared), participantAt(place, shared)];
    const branch = newBranch();
    let release!: () => void;
    const held = new Promise<void>((resolve) => (release = resolve));
    let entered!: () => void;
    const inside = new Promise<void>((resolve) => (entered = resolve));
    p.hook = async (kind, _, when) => {
      if (kind !== "try" || when !== "after") return;
      entered();
      await held;
    };
    const tried = p.try(branch);
    await inside;
    const first = other.deliver("cancel", branch);
    if (place.database === undefined) {
      // With Retry-After: whoever delivers it comes again.
      expect((await first).status).toBe(500);
      expect(await p.effects(branch)).toEqual(["try"]);
    }
    release();
    await tried;
    await first;
    expect(await persist(other, "cancel", branch)).toBe(200);
    const effects = await p.effects(branch);
    expect(effects.includes("cancel")).toBe(effects.includes("try"));
    expect((await p.try(branch)).status).toBe(effects.includes("try") ? 200 : 409);
    expect(await p.effects(branch)).toEqual(effects);
  });

  test("a cancel that comes while a try has not done anything yet leaves nothing of it", async () => {
    const place = await opened();
    const shared: string[] = [];
    const [p, other] = [participantAt(place, shared), participantAt(place, shared)];
    const branch = newBranch();
    p.hook = async (kind, _, when) => {
      if (kind !== "try" || when !== "before") return;
      const { status } = await other.deliver("cancel", branch);
      // Without a database nobody knows what it has done.
      expect(status).toBe(place.database === undefined ? 500 : 200);
    };
    expect((await p.try(branch)).status).toBe(place.database === undefined ? 200 : 409);
    p.hook = () => undefined;
    expect(await persist(other, "cancel", branch)).toBe(200);
    expect(await p.effects(branch)).toEqual(place.database === undefined ? ["try", "cancel"] : []);
  });

  test("a participant that refuses has nothing in its database, and a try after it may succeed", async () => {
    const p = participantAt(await opened());
    const branch = newBranch();
    p.hook = (kind, _, when) => {
      if (kind === "try" && when === "before") throw new RefusedError("out of stock");
    };
    const { status, body } = await p.try(branch);
    expect([status, body.error?.reason]).toEqual([409, "out of stock"]);
    expect(await p.effects(branch)).toEqual([]);
    p.hook = () => undefined;
    expect((await p.try(branch)).status).toBe(200);
  });

  test("a try that failed is not known: it may be made again, and a cancel ends it", async () => {
    const p = participantAt(await opened());
    const branch = newBranch();
    p.hook = (kind, _, when) => {
      if (kind === "try" && when === "before") throw new Error("broken");
    };
    expect((await p.try(branch)).status).toBe(500);
    p.hook = () => undefined;
    expect((await p.deliver("cancel", branch)).status).toBe(200);
    expect((await p.try(branch)).status).toBe(409);
    // Without a database nobody can say how much of it was done.
    expect(await p.effects(branch)).toEqual(inDatabase(p) ? [] : ["cancel"]);
  });

  test("what a try came to is answered again to a duplicate", async () => {
    const p = participantAt(await opened());
    const branch = newBranch();
    const first = await p.try(branch);
    expect(await p.try(branch)).toEqual(first);
    if (p.place.insertStatement === undefined) expect(first.body.result).toEqual({ did: "try" });
  });

  test("a confirm that failed is made again until it is done", async () => {
    const p = participantAt(await opened());
    const branch = newBranch();
    await p.try(branch);
    let failures = 2;
    p.hook = (kind, _, when) => {
      if (kind === "confirm" && when === "before" && failures-- > 0) throw new Error("not now");
    };
    expect((await p.deliver("confirm", branch)).status).toBe(500);
    expect((await p.deliver("confirm", branch)).status).toBe(500);
    expect((await p.deliver("confirm", branch)).status).toBe(200);
    expect(await p.effects(branch)).toEqual(expect.arrayContaining(["try", "confirm"]));
  });
}
