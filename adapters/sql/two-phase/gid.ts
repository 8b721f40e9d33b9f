import { ConfigurationError } from "../../../src/errors.ts";

const PREFIX = "aftercommit";
/** PostgreSQL takes less than 200 bytes. */
const MAX_BYTES = 199;
/** A branch's id is a transaction's, and a place in it. */
const MAX_BRANCH = 70;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;
const BRANCH = /^[A-Za-z0-9-]{1,64}_\d{1,5}$/;

/** The names of the prepared transactions of one participant. */
export interface Gids {
  /** What they all begin with. */
  readonly prefix: string;
  /** The one of a branch. Letters that need no quoting: PREPARE TRANSACTION takes no parameter. */
  of(branch: string): string;
  /** The branch of one. */
  branchOf(gid: string): string;
}

/** Names prepared transactions after a participant and its branches. */
export function gidsOf(name: string): Gids {
  const prefix = `${PREFIX}/${name}/`;
  if (!NAME.test(name) || prefix.length + MAX_BRANCH > MAX_BYTES) {
    throw new ConfigurationError([
      {
        path: "twoPhase.name",
        expected: `a name of letters, digits, '_', '.' and '-', at most ${MAX_BYTES - MAX_BRANCH - PREFIX.length - 2} long`,
        found: JSON.stringify(name.slice(0, 200)),
        remedy: "Give the participant's name, or a shorter one that no other in this database has.",
      },
    ]);
  }
  return {
    prefix,
    of(branch) {
      if (BRANCH.test(branch)) return prefix + branch;
      throw new RangeError("Expected the id of a branch, found another text.");
    },
    branchOf: (gid) => gid.slice(prefix.length),
  };
}
