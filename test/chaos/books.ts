import type { Pool, PoolClient } from "pg";

/** The bank's tables; no key of theirs forbids what a broken library would do, so that it would show. */
const TABLES = [
  "create table accounts (id integer primary key, cents bigint not null)",
  `create table transfers (
     id text primary key, tx_id text not null, source integer not null, target integer not null, cents integer not null,
     boot text not null, at_millis double precision not null)`,
  `create table effects (
     consumer text not null, message_id text not null, transfer_id text not null, at_millis double precision not null)`,
  "create index transfers_tx on transfers (tx_id)",
];

export const ACCOUNTS = 400;
export const CENTS_EACH = 1_000_000;

/** One transfer as it is asked for. */
export interface Transfer {
  readonly id: string;
  readonly source: number;
  readonly target: number;
  readonly cents: number;
}

/** The time now, where rows are written: one clock for all of them. */
const NOW = "extract(epoch from clock_timestamp()) * 1000";

/** Opens the accounts. */
export async function openAccounts(pool: Pool): Promise<void> {
  for (const table of TABLES) await pool.query(table);
  await pool.query("insert into accounts select number, $1 from generate_series(0, $2 - 1) as number", [
    CENTS_EACH,
    ACCOUNTS,
  ]);
}

/** Takes the money from its source, and writes that down. */
export async function debit(sql: PoolClient, transactionId: string, boot: string, transfer: Transfer): Promise<void> {
  const { id, source, target, cents } = transfer;
  await sql.query("update accounts set cents = cents - $1 where id = $2", [cents, source]);
  await sql.query(
    `insert into transfers (id, tx_id, source, target, cents, boot, at_millis) values ($1, $2, $3, $4, $5, $6, ${NOW})`,
    [id, transactionId, source, target, cents, boot],
  );
}

/** Brings the money to its target. */
export async function credit(sql: PoolClient, { target, cents }: Transfer): Promise<void> {
  await sql.query("update accounts set cents = cents + $1 where id = $2", [cents, target]);
}

/** Writes down that a consumer did something about a transfer. */
export async function noteEffect(
  sql: PoolClient,
  consumer: string,
  messageId: string,
  transferId: string,
): Promise<void> {
  await sql.query(`insert into effects (consumer, message_id, transfer_id, at_millis) values ($1, $2, $3, ${NOW})`, [
    consumer,
    messageId,
    transferId,
  ]);
}

/** How many effects there are. */
export async function countEffects(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ readonly count: string }>("select count(*) from effects");
  return Number(rows[0]!.count);
}
