import { processes } from "./processes.ts";
import { startInfrastructure } from "./infrastructure.ts";
import { startShop } from "./shop-process.ts";
import { post } from "./post.ts";
const p = processes("/tmp/zz.log");
process.once("exit", () => p.killAll());
const i = await startInfrastructure(p);
let t = performance.now();
const s = await startShop(p, i, "/tmp/zz.sqlite");
console.log("start", performance.now() - t);
for (let round = 0; round < 3; round++) {
  t = performance.now();
  const lat: number[] = [];
  await Promise.all(
    Array.from({ length: 16 }, async (_, w) => {
      for (let k = 0; k < 6; k++) {
        const a = performance.now();
        await post(`${s.url}/orders`, { item: `i${round}-${w}-${k}`, cents: 1 });
        lat.push(Math.round(performance.now() - a));
      }
    }),
  );
  console.log("96 orders", performance.now() - t, lat.join(" "));
  t = performance.now();
  await s.kill();
  console.log("kill+start", performance.now() - t);
}
process.exit(0);
