CREATE TABLE IF NOT EXISTS aftercommit_barrier (
  transaction_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('intent', 'decision')),
  verdict TEXT CHECK (verdict IN ('committed', 'rolledBack')),
  source TEXT NOT NULL,
  messages TEXT NOT NULL,
  created INTEGER NOT NULL,
  due INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  results TEXT,
  dead INTEGER NOT NULL DEFAULT 0,
  version INTEGER NOT NULL DEFAULT 0,
  claim TEXT,
  settled INTEGER,
  PRIMARY KEY (transaction_id, kind)
);

CREATE INDEX IF NOT EXISTS aftercommit_barrier_unsettled ON aftercommit_barrier (source, settled, due);

CREATE INDEX IF NOT EXISTS aftercommit_barrier_dead ON aftercommit_barrier (source, transaction_id) WHERE dead > 0;

CREATE TABLE IF NOT EXISTS aftercommit_inbox (
  consumer TEXT NOT NULL,
  message_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('lease', 'done')),
  token TEXT NOT NULL,
  outcome TEXT,
  expires INTEGER NOT NULL,
  PRIMARY KEY (consumer, message_id, kind)
);

CREATE INDEX IF NOT EXISTS aftercommit_inbox_expires ON aftercommit_inbox (expires);
