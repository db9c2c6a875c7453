-- The database of a small restaurant chain, as an application might have it: nothing here
-- knows of ravno. Money is in integer cents of a euro, times are RFC 3339 in UTC.

CREATE TABLE product(
  id       INTEGER PRIMARY KEY,
  name     TEXT    NOT NULL,
  name_en  TEXT    NOT NULL,
  category TEXT    NOT NULL,
  price    INTEGER NOT NULL CHECK(price >= 0),  -- cents
  on_menu  INTEGER NOT NULL DEFAULT 1 CHECK(on_menu IN (0, 1))
);

-- What the central kitchen has ready. Both restaurants sell out of it, so on_hand is a counter:
-- what each has taken adds up, whoever took it first.
CREATE TABLE stock(
  product_id INTEGER PRIMARY KEY NOT NULL REFERENCES product(id),
  on_hand    INTEGER NOT NULL                   -- portions; below zero: sold before it was cooked
) WITHOUT ROWID;

-- Regular guests. The cards lie ready in every restaurant, each with its code on it.
CREATE TABLE guest(
  id    TEXT PRIMARY KEY NOT NULL,              -- drawn at random by the till
  name  TEXT NOT NULL,
  card  TEXT NOT NULL UNIQUE,
  since TEXT NOT NULL
);

CREATE TABLE dining_table(
  id     INTEGER PRIMARY KEY,
  place  TEXT    NOT NULL,
  number INTEGER NOT NULL,
  seats  INTEGER NOT NULL,
  UNIQUE(place, number)
);

-- An order with its lines and payments is one document: they go when it goes. Its number is
-- the one SQLite gives, so two restaurants without a line both come to the same one.
CREATE TABLE orders(
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  place     TEXT    NOT NULL,                   -- where it was taken
  table_id  INTEGER REFERENCES dining_table(id),
  guests    INTEGER NOT NULL CHECK(guests > 0),
  waiter    TEXT    NOT NULL,
  state     TEXT    NOT NULL DEFAULT 'open' CHECK(state IN ('open', 'paid', 'cancelled')),
  note      TEXT    NOT NULL DEFAULT '',
  opened_at TEXT    NOT NULL,
  closed_at TEXT
);
CREATE INDEX orders_open ON orders(place, opened_at) WHERE state = 'open';

CREATE TABLE order_line(
  id         TEXT PRIMARY KEY NOT NULL,         -- UUID
  order_id   INTEGER NOT NULL REFERENCES orders(id) ON DELETE CASCADE,
  product_id INTEGER NOT NULL REFERENCES product(id),
  quantity   INTEGER NOT NULL CHECK(quantity > 0),
  price      INTEGER NOT NULL,                  -- cents each, as on the menu when it was ordered
  note       TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX order_line_order ON order_line(order_id);

CREATE TABLE payment(
  id       TEXT PRIMARY KEY NOT NULL,           -- UUID
  order_id INTEGER NOT NULL REFERENCES orders(id) ON DELETE CASCADE,
  amount   INTEGER NOT NULL,                    -- cents
  method   TEXT    NOT NULL CHECK(method IN ('cash', 'card')),
  paid_at  TEXT    NOT NULL
);
CREATE INDEX payment_order ON payment(order_id);

-- The event journal: every till numbers its own events, so two restaurants both have an
-- event 1. It travels to the office and to nobody else.
CREATE TABLE event_log(
  id   INTEGER PRIMARY KEY,
  at   TEXT NOT NULL,
  who  TEXT NOT NULL,
  what TEXT NOT NULL
);
