CREATE TABLE IF NOT EXISTS aftercommit_barrier (
  transaction_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  kind VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  verdict VARCHAR(10) CHARACTER SET ascii COLLATE ascii_bin,
  source VARBINARY(2048) NOT NULL,
  messages LONGBLOB NOT NULL,
  created BIGINT NOT NULL,
  due BIGINT NOT NULL,
  attempts INT NOT NULL DEFAULT 0,
  results LONGBLOB,
  dead INT NOT NULL DEFAULT 0,
  version BIGINT NOT NULL DEFAULT 0,
  claim VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin,
  settled BIGINT,
  PRIMARY KEY (transaction_id, kind),
  INDEX aftercommit_barrier_unsettled (source(255), settled, due),
  INDEX aftercommit_barrier_dead (source(255), dead, transaction_id)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS aftercommit_inbox (
  consumer VARBINARY(2048) NOT NULL,
  message_id VARBINARY(512) NOT NULL,
  kind VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  token VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  outcome LONGBLOB,
  expires BIGINT NOT NULL,
  PRIMARY KEY (consumer, message_id, kind),
  INDEX aftercommit_inbox_expires (expires)
) ENGINE = InnoDB;
