import type { Host } from "./server.ts";

interface ProcessLike {
  on(signal: string, heard: () => void): unknown;
  off(signal: string, heard: () => void): unknown;
  exit(code: number): void;
}

/** The process, as Node and Bun have it. */
export const processHost: Host = {
  onSignal(signal, heard) {
    const { process } = globalThis as unknown as { readonly process: ProcessLike };
    process.on(signal, heard);
    return () => void process.off(signal, heard);
  },
  exit(code) {
    (globalThis as unknown as { readonly process: ProcessLike }).process.exit(code);
  },
};
