/** The points at which a process of the bank can kill itself, by the role that passes them. */
export const POINTS = {
  producer: ["P2_prepare", "P5_work", "P6_commit", "P8_hint", "P9_publish", "P10_settle"],
  consumer: ["C4_claim", "C6_effect", "C7_commit", "C8_complete"],
  sweeper: ["S1_claim", "S3_look", "S4_decide", "S5_publish", "S6_settle", "S7_cleanUp"],
} as const;

export type Role = keyof typeof POINTS;
export type Point = (typeof POINTS)[Role][number];
export type Side = "before" | "after";

/** One side of a point. */
export interface Place {
  readonly role: Role;
  readonly point: Point;
  readonly side: Side;
}

/** Where a process kills itself: at the `nth` time that it is there, from 1. */
export interface Fault {
  readonly point: Point;
  readonly side: Side;
  readonly nth: number;
}

/** Both sides of each point. */
export const PLACES: readonly Place[] = (Object.keys(POINTS) as Role[]).flatMap((role) =>
  POINTS[role].flatMap((point): readonly Place[] => [
    { role, point, side: "before" },
    { role, point, side: "after" },
  ]),
);

/** One side of a point, by name: `P6_commit:before`. */
export function placeText({ point, side }: Pick<Place, "point" | "side">): string {
  return `${point}:${side}`;
}

/** A fault as the environment of a process names it: `P6_commit:after:3`. */
export function faultText(fault: Fault): string {
  return `${placeText(fault)}:${fault.nth}`;
}

/** Reads what {@link faultText} wrote; `undefined` for a process that is not to kill itself. */
export function parseFault(text: string | undefined): Fault | undefined {
  if (text === undefined || text === "") return undefined;
  const [name, side, nth] = text.split(":");
  const point = Object.values(POINTS)
    .flat()
    .find((one) => one === name);
  if (point === undefined || (side !== "before" && side !== "after") || !(Number(nth) >= 1))
    throw new Error(`Expected a fault like "P6_commit:after:1", found "${text}".`);
  return { point, side, nth: Number(nth) };
}
