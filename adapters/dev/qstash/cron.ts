/** When a cron expression fires. */
export interface Cron {
  /** The first matching minute after `after` (both in milliseconds since the epoch), or `undefined` if there is none. */
  next(after: number): number | undefined;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Longer than the widest gap between two leap days. */
const HORIZON = 12 * 366 * 24 * HOUR;

const MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

interface Field {
  readonly values: ReadonlySet<number>;
  /** Written as `*` or `?`: it does not restrict. */
  readonly any: boolean;
}

interface WallTime {
  readonly minute: number;
  readonly hour: number;
  readonly day: number;
  readonly month: number;
  readonly weekday: number;
}

/**
 * Parses five fields (minute, hour, day of month, month, day of week) with `*`, `?`, lists, ranges, steps and the
 * English names, optionally after `CRON_TZ=Area/City`; the time zone is UTC otherwise. Where both days are
 * restricted, either of them matches.
 *
 * @throws SyntaxError that names the field
 */
export function parseCron(expression: string): Cron {
  const words = expression.trim().split(/\s+/);
  const zone = /^(?:CRON_)?TZ=(.+)$/.exec(words[0] ?? "")?.[1];
  const fields = zone === undefined ? words : words.slice(1);
  if (fields.length !== 5) throw new SyntaxError(`expected exactly 5 fields, found ${fields.length}`);
  const [minutes = "", hours = "", days = "", months = "", weekdays = ""] = fields;
  const minute = parseField("minute", minutes, 0, 59);
  const hour = parseField("hour", hours, 0, 23);
  const day = parseField("day of month", days, 1, 31);
  const month = parseField("month", months, 1, 12, MONTHS, 1);
  const weekday = parseField("day of week", weekdays, 0, 7, WEEKDAYS, 0);
  const wallTime = zone === undefined ? utcWallTime : zonedWallTime(zone);

  const dayMatches = (wall: WallTime): boolean => {
    const onDay = day.values.has(wall.day);
    const onWeekday = weekday.values.has(wall.weekday) || (wall.weekday === 0 && weekday.values.has(7));
    return day.any || weekday.any ? onDay && onWeekday : onDay || onWeekday;
  };

  return {
    next(after) {
      let time = Math.floor(after / MINUTE) * MINUTE + MINUTE;
      while (time <= after + HORIZON) {
        const wall = wallTime(time);
        if (!month.values.has(wall.month) || !dayMatches(wall)) {
          // By hours, since a day may have 23 or 25 of them; in one step only where no midnight can be jumped over.
          time += Math.max(1, 20 - wall.hour) * HOUR - wall.minute * MINUTE;
        } else if (!hour.values.has(wall.hour)) {
          time += HOUR - wall.minute * MINUTE;
        } else if (!minute.values.has(wall.minute)) {
          time += MINUTE;
        } else {
          return time;
        }
      }
      return undefined;
    },
  };
}

function parseField(
  name: string,
  text: string,
  min: number,
  max: number,
  names: readonly string[] = [],
  firstName = 0,
): Field {
  const number = (word: string): number => {
    const named = names.indexOf(word.toUpperCase());
    const value = named >= 0 ? named + firstName : /^\d{1,2}$/.test(word) ? Number(word) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new SyntaxError(`expected ${min} to ${max} in the field "${name}", found "${word}"`);
    }
    return value;
  };
  const values = new Set<number>();
  for (const part of text.split(",")) {
    const [range = "", stepText, ...rest] = part.split("/");
    const step = stepText === undefined ? 1 : Number(stepText);
    if (rest.length > 0 || !Number.isInteger(step) || step < 1) {
      throw new SyntaxError(`expected a positive step in the field "${name}", found "${part}"`);
    }
    const any = range === "*" || range === "?";
    const [fromText = "", toText] = any ? [`${min}`, `${max}`] : range.split("-", 2);
    const from = number(fromText);
    const to = toText === undefined ? (stepText === undefined ? from : max) : number(toText);
    if (to < from) throw new SyntaxError(`expected a rising range in the field "${name}", found "${range}"`);
    for (let value = from; value <= to; value += step) values.add(value);
  }
  return { values, any: text === "*" || text === "?" };
}

function utcWallTime(time: number): WallTime {
  const date = new Date(time);
  return {
    minute: date.getUTCMinutes(),
    hour: date.getUTCHours(),
    day: date.getUTCDate(),
    month: date.getUTCMonth() + 1,
    weekday: date.getUTCDay(),
  };
}

function zonedWallTime(timeZone: string): (time: number) => WallTime {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat("en-US", {
      timeZone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
    });
  } catch (cause) {
    throw new SyntaxError(`expected a time zone such as "Europe/Berlin", found "${timeZone}"`, { cause });
  }
  return (time) => {
    const part: Record<string, number> = {};
    for (const { type, value } of format.formatToParts(time)) part[type] = Number(value);
    const { year = 0, month = 0, day = 0, hour = 0, minute = 0 } = part;
    return { minute, hour, day, month, weekday: new Date(Date.UTC(year, month - 1, day)).getUTCDay() };
  };
}
