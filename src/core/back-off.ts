import type { Crypto } from "../ports/crypto.ts";

/** How a wait grows with the attempts. */
export interface BackOff {
  readonly firstMillis: number;
  readonly factor: number;
  readonly mostMillis: number;
}

/** Between attempts to hand a delivery to the transport. */
export const PUBLISH_BACK_OFF: BackOff = { firstMillis: 5_000, factor: 2, mostMillis: 3_600_000 };
/** Between two runs of a SQL transaction that the database asks for. */
export const RUN_BACK_OFF: BackOff = { firstMillis: 20, factor: 2, mostMillis: 2_000 };
/** Between questions to a check that gives no verdict. */
export const CHECK_BACK_OFF: BackOff = { firstMillis: 10_000, factor: 2, mostMillis: 3_600_000 };
/** Between looks into the transport's event log; the first wait is `settings.confirmAfterMillis`. */
export const CONFIRM_BACK_OFF: Omit<BackOff, "firstMillis"> = { factor: 3, mostMillis: 21_600_000 };

/** The wait before attempt number `attempts` + 1, drawn from the upper half of its range so that crowds spread out. */
export function backOff(schedule: BackOff, attempts: number, crypto: Crypto): number {
  const whole = Math.min(schedule.mostMillis, schedule.firstMillis * schedule.factor ** Math.min(attempts, 40));
  const draw = crypto.random(2);
  return Math.round(whole * (0.5 + (draw[0]! * 256 + draw[1]!) / 131_072));
}
