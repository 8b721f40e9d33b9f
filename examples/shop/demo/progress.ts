/** Where a run tells how far it is: a terminal, or something that takes text. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

/** Shows how far something is. */
export interface ProgressBar {
  show(done: number, note: string): void;
  /** Leaves the last state standing. */
  end(): void;
}

const WIDTH = 30;
/** Where the output is no terminal, one line for each of so many parts. */
const PARTS = 4;

/** A bar that is redrawn in place on a terminal; elsewhere a few plain lines. */
export function progressBar(out: Output, total: number): ProgressBar {
  const live = out.isTTY === true;
  let part = 0;
  let last = "";
  return {
    show(done, note) {
      const share = total === 0 ? 1 : Math.max(0, done / total);
      const filled = Math.round(WIDTH * share);
      const line = `  [${"#".repeat(filled)}${"-".repeat(WIDTH - filled)}] ${done}/${total}  ${note}`;
      if (line === last) return;
      last = line;
      if (live) out.write(`\r\u001b[K${line}`);
      else if (Math.floor(PARTS * share) > part) {
        part = Math.floor(PARTS * share);
        out.write(`${line}\n`);
      }
    },
    end() {
      if (live) out.write("\n");
    },
  };
}
