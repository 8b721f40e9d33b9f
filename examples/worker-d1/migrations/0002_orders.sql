CREATE TABLE orders (
  id TEXT PRIMARY KEY,
  tx_id TEXT NOT NULL UNIQUE,
  article TEXT NOT NULL,
  cents INTEGER NOT NULL
);

CREATE TABLE receipts (
  order_id TEXT PRIMARY KEY,
  message_id TEXT NOT NULL
);

CREATE TABLE articles (
  name TEXT PRIMARY KEY,
  in_stock INTEGER NOT NULL CHECK (in_stock >= 0)
);

INSERT INTO articles (name, in_stock) VALUES ('tea', 100), ('cup', 1);
