/** The role of a process, as far as the same call is another step for it. */
export type Role = "shop" | "sweeper" | "ledger";

/**
 * The steps of the protocol, by the call that is the step: P of producers, S of sweepers, C of consumers. Where a call has
 * two, the second is the sweeper's, or the consumer's. The models in test/model and the kill harness have the same names.
 */
const STEPS: Readonly<Record<string, readonly [step: string, other?: string]>> = {
  "transactions.prepare": ["P2_prepare"],
  "barrier.intend": ["P2_prepare"],
  "sql.begin": ["P3_begin"],
  "sql.decide": ["P4_barrierRow"],
  "sql.get": ["P5_businessSql", "C6_effect"],
  "sql.put": ["P5_businessSql", "C6_effect"],
  "sql.insert": ["P5_businessSql", "C6_effect"],
  "sql.commit": ["P6_commit", "C7_commit"],
  "sql.batch": ["P6_commit", "C7_commit"],
  "transactions.decide": ["P8_decide", "S4_decide"],
  "barrier.rollBack": ["P8_decide", "S4_decide"],
  "qstash.publish": ["P9_publish", "S5_publish"],
  "qstash.batch": ["P9_publish", "S5_publish"],
  "transactions.record": ["P10_settle", "S6_settle"],
  "barrier.settle": ["P10_settle", "S6_settle"],
  "transactions.claimDue": ["S1_due"],
  "barrier.claimUnsettled": ["S2_lease"],
  check: ["S3_checkBack"],
  "deadLetters.hold": ["S3_hold"],
  "barrier.cleanUp": ["S7_cleanUp"],
  "mark.cleanUp": ["S7_cleanUp"],
  receives: ["C1_receive"],
  "inbox.claim": ["C4_claim"],
  "sql.consume": ["C5_inboxRow"],
  "effect.note": ["C6_effect"],
  "effect.relay": ["C6_effect"],
  "inbox.complete": ["C8_complete"],
  answers: ["C9_answers"],
  "deadLetters.bury": ["C10_bury"],
};

const named = new Map<string, string>();

/** A call, led by the step that it is: `P9_publish qstash.batch`. */
export function stepName(call: string, role: Role, consuming: boolean): string {
  const second = role === "sweeper" || consuming;
  const known = named.get(second ? `2 ${call}` : call);
  if (known !== undefined) return known;
  const [step, other = step] = STEPS[call] ?? [];
  const name = step === undefined ? call : `${second ? other : step} ${call}`;
  named.set(second ? `2 ${call}` : call, name);
  return name;
}
