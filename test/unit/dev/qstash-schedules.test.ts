import { describe, expect, test } from "vitest";
import { parseCron } from "../../../adapters/dev/qstash/cron.ts";
import { startDestination, startQStash } from "./qstash-harness.ts";

describe("schedules", () => {
  test("a schedule publishes its message whenever its cron fires", async () => {
    const { client, advance, clock } = await startQStash();
    const { url, received } = await startDestination(undefined, clock.now);
    const { scheduleId } = await client.schedules.create({
      destination: `${url}/tick`,
      cron: "*/5 * * * * ",
      body: "hi",
      headers: { "x-a": "1" },
    });
    await advance(15 * 60_000);
    expect(received).toHaveLength(3);
    expect(received.map(({ time }) => time % 300_000)).toEqual([0, 0, 0]);
    expect(received[0]).toMatchObject({ body: "hi", path: "/tick" });
    expect(received[0]?.headers).toMatchObject({ "upstash-schedule-id": scheduleId, "x-a": "1" });
  });

  test("a schedule can be read back, with its last and next trigger", async () => {
    const { client, advance, clock } = await startQStash();
    const { url } = await startDestination();
    const { scheduleId } = await client.schedules.create({
      destination: url,
      cron: "*/5 * * * *",
      body: "hi",
      retries: 1,
      delay: "2s",
      label: "nightly",
      headers: { "bypass-tunnel-reminder": "yes" },
    });
    const fresh = await client.schedules.get(scheduleId);
    expect(fresh).toMatchObject({
      scheduleId,
      cron: "*/5 * * * *",
      destination: url,
      body: "hi",
      retries: 1,
      delay: 2,
    });
    expect(fresh).toMatchObject({ method: "POST", isPaused: false, label: "nightly" });
    expect(fresh.header).toEqual({ "Bypass-Tunnel-Reminder": ["yes"], "Content-Type": ["application/json"] });
    expect(fresh).not.toHaveProperty("lastScheduleTime");
    await advance((fresh.nextScheduleTime ?? 0) - clock.now());
    const fired = await client.schedules.get(scheduleId);
    expect(fired.lastScheduleTime).toBe(fresh.nextScheduleTime);
    expect(fired.nextScheduleTime).toBe((fresh.nextScheduleTime ?? 0) + 300_000);
    expect(Object.values(fired.lastScheduleStates ?? {})).toEqual(["IN_PROGRESS"]);
    await advance(2000);
    expect(Object.values((await client.schedules.get(scheduleId)).lastScheduleStates ?? {})).toEqual(["SUCCESS"]);
  });

  test("creating a schedule under the id of another replaces it", async () => {
    const { client, advance } = await startQStash();
    const { url, received } = await startDestination();
    const base = { destination: url, cron: "* * * * *", scheduleId: "nightly" };
    await client.schedules.create({ ...base, body: "old" });
    await client.schedules.create({ ...base, cron: "0 * * * *" });
    const list = await client.schedules.list();
    expect(list).toHaveLength(1);
    expect(list[0]?.body).toBeUndefined();
    await advance(3_600_000);
    expect(received).toHaveLength(1);
  });

  test("a paused schedule skips its triggers", async () => {
    const { client, advance } = await startQStash();
    const { url, received } = await startDestination();
    const { scheduleId } = await client.schedules.create({ destination: url, cron: "* * * * *" });
    await client.schedules.pause({ schedule: scheduleId });
    expect((await client.schedules.get(scheduleId)).isPaused).toBe(true);
    await advance(10 * 60_000);
    expect(received).toHaveLength(0);
    await client.schedules.resume({ schedule: scheduleId });
    await advance(60_000);
    expect(received).toHaveLength(1);
  });

  test("a deleted schedule fires no more", async () => {
    const { client, advance } = await startQStash();
    const { url, received } = await startDestination();
    const { scheduleId } = await client.schedules.create({ destination: url, cron: "* * * * *" });
    await client.schedules.delete(scheduleId);
    await expect(client.schedules.get(scheduleId)).rejects.toMatchObject({ status: 404 });
    await advance(600_000);
    expect(received).toHaveLength(0);
  });

  test("a schedule can publish to a URL group and through a queue", async () => {
    const { client, advance } = await startQStash();
    const { url, received } = await startDestination();
    await client.urlGroups.addEndpoints({ name: "g", endpoints: [{ url: `${url}/1` }, { url: `${url}/2` }] });
    await client.schedules.create({ destination: "g", cron: "* * * * *", queueName: "q" });
    await advance(60_000);
    expect(received.map(({ path }) => path)).toEqual(["/1", "/2"]);
    expect((await client.queue({ queueName: "q" }).get()).lag).toBe(0);
  });

  test("the time factor speeds schedules up", async () => {
    const { client, advance } = await startQStash({ timeFactor: 0.01 });
    const { url, received } = await startDestination();
    await client.schedules.create({ destination: url, cron: "0 * * * *" });
    await advance(36_000 * 10);
    expect(received).toHaveLength(10);
  });

  test.each(["", "* * * *", "60 * * * *", "* * * * * *", "5-1 * * * *", "*/0 * * * *", "CRON_TZ=Mars/Base * * * * *"])(
    'the cron expression "%s" is refused',
    async (cron) => {
      const { client } = await startQStash();
      await expect(client.schedules.create({ destination: "http://127.0.0.1:1", cron })).rejects.toMatchObject({
        status: 400,
      });
    },
  );
});

describe("cron expressions", () => {
  const after = (expression: string, from: string, times = 1): string[] => {
    const cron = parseCron(expression);
    const found: string[] = [];
    let time = Date.parse(from);
    for (let n = 0; n < times; n += 1) {
      time = cron.next(time) ?? Number.NaN;
      found.push(Number.isNaN(time) ? "never" : new Date(time).toISOString().slice(0, 16));
    }
    return found;
  };

  test.each([
    ["* * * * *", "2026-01-01T00:00:30Z", "2026-01-01T00:01"],
    ["30 9 * * *", "2026-01-01T09:30:00Z", "2026-01-02T09:30"],
    ["0 0 1 * *", "2026-01-31T12:00:00Z", "2026-02-01T00:00"],
    ["0 12 * * MON-FRI", "2026-01-02T13:00:00Z", "2026-01-05T12:00"],
    ["0 0 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T00:00"],
    ["0 0 13 * FRI", "2026-01-10T00:00:00Z", "2026-01-13T00:00"],
    ["15,45 8-10/2 * FEB ?", "2026-01-01T00:00:00Z", "2026-02-01T08:15"],
    ["0 0 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T00:00"],
    ["0 0 31 2 *", "2026-03-01T00:00:00Z", "never"],
  ])('"%s" after %s fires at %s', (expression, from, expected) => {
    expect(after(expression, from)).toEqual([expected]);
  });

  test("a time zone moves the wall clock, across both changes of daylight saving", () => {
    const expression = "CRON_TZ=America/New_York 0 9 * * *";
    expect(after(expression, "2026-03-07T00:00:00Z", 2)).toEqual(["2026-03-07T14:00", "2026-03-08T13:00"]);
    expect(after(expression, "2026-10-31T00:00:00Z", 2)).toEqual(["2026-10-31T13:00", "2026-11-01T14:00"]);
  });

  test("an hour that daylight saving skips does not fire, and midnight after a short day does", () => {
    const skipped = after("CRON_TZ=Europe/Berlin 30 2 * * *", "2026-03-28T12:00:00Z");
    expect(skipped).toEqual(["2026-03-30T00:30"]);
    expect(after("CRON_TZ=Europe/Berlin 0 0 * * *", "2026-03-29T00:00:00Z")).toEqual(["2026-03-29T22:00"]);
  });

  test("a time zone of half an hour keeps its minutes", () => {
    expect(after("CRON_TZ=Asia/Kolkata 0 6 * * *", "2026-01-01T00:00:00Z")).toEqual(["2026-01-01T00:30"]);
  });
});
