CREATE TABLE IF NOT EXISTS aftercommit_barrier (
  transaction_id text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('intent', 'decision')),
  verdict text CHECK (verdict IN ('committed', 'rolledBack')),
  source text NOT NULL,
  messages text NOT NULL,
  created bigint NOT NULL,
  due bigint NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  results text,
  dead integer NOT NULL DEFAULT 0,
  version bigint NOT NULL DEFAULT 0,
  claim text,
  settled bigint,
  PRIMARY KEY (transaction_id, kind)
);

CREATE INDEX IF NOT EXISTS aftercommit_barrier_unsettled ON aftercommit_barrier (source, due) WHERE settled IS NULL;

CREATE INDEX IF NOT EXISTS aftercommit_barrier_settled ON aftercommit_barrier (source, settled) WHERE settled IS NOT NULL;

CREATE INDEX IF NOT EXISTS aftercommit_barrier_dead ON aftercommit_barrier (source, transaction_id) WHERE dead > 0;

CREATE TABLE IF NOT EXISTS aftercommit_inbox (
  consumer text NOT NULL,
  message_id text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('lease', 'done')),
  token text NOT NULL,
  outcome text,
  expires bigint NOT NULL,
  PRIMARY KEY (consumer, message_id, kind)
);

CREATE INDEX IF NOT EXISTS aftercommit_inbox_expires ON aftercommit_inbox (expires);
