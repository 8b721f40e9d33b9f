import { defineConfig } from "vitest/config";

export default defineConfig({
  ssr: { resolve: { conditions: ["aftercommit-source"] } },
  test: {
    root: new URL("..", import.meta.url).pathname,
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    maxWorkers: 2,
    passWithNoTests: false,
  },
});
