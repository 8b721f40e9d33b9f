/**
 * Creates a wall clock in milliseconds since the epoch, with a fraction that rises within each millisecond.
 *
 * It follows the system clock, unlike `performance.now()`, which may stand still while a laptop sleeps.
 */
export function createWallClock(): () => number {
  let millis = 0;
  let seenAt = 0;
  return () => {
    const now = Date.now();
    const reading = performance.now();
    if (now !== millis) {
      millis = now;
      seenAt = reading;
    }
    return millis + Math.min(0.999, reading - seenAt);
  };
}
