-- ravno's own tables in the application's file. Run once, by init and by join, inside one
-- transaction. Only SQL that SQLite 3.8.3 can parse: the application's library, however
-- old, reads this schema too. Shadow tables (ravno_shadow_N) and kept journals
-- (ravno_kept_N) are made per table, and ravno_log by the capture triggers' installer.

-- One row: who this site is and how far it has come.
CREATE TABLE ravno_state(
  format       INTEGER NOT NULL,           -- of these tables; a newer one is refused
  site         INTEGER NOT NULL,
  organisation TEXT    NOT NULL,
  incarnation  BLOB    NOT NULL,           -- 16 bytes, drawn when this state was made
  position     INTEGER NOT NULL DEFAULT 0, -- commits of this incarnation
  clock        INTEGER NOT NULL DEFAULT 0, -- hybrid logical clock: latest time issued or seen
  folded       INTEGER NOT NULL DEFAULT 0, -- ravno_log entries up to this id are folded
  catalog      INTEGER NOT NULL DEFAULT 0, -- grows when tables or settings change
  -- at a node
  hub_incarnation BLOB,                    -- of the hub whose positions seen counts
  seen         INTEGER NOT NULL DEFAULT 0, -- hub position applied here
  hub_have     INTEGER NOT NULL DEFAULT 0, -- our position the hub has committed
  seen_floor   INTEGER,                    -- least seen of work the hub does not have; NULL: none
  addresses    TEXT    NOT NULL DEFAULT '',-- where the hub is, separated by spaces
  clock_offset INTEGER NOT NULL DEFAULT 0, -- ms to add to our clock to get the hub's
  last_transfer INTEGER NOT NULL DEFAULT 0,-- Unix ms of the last data transferred
  hub_status   TEXT    NOT NULL DEFAULT '',-- the hub's last status, JSON
  until        INTEGER NOT NULL DEFAULT 0, -- end of the hub's delta of which slices are coming; 0: none
  mark_seen    INTEGER NOT NULL DEFAULT 0, -- seen when, with no slice on its way, ...
  mark         INTEGER NOT NULL DEFAULT 0, -- ... our position was this; 0: no mark
  settled_own  INTEGER NOT NULL DEFAULT 0, -- own work up to this position is settled
  -- at the hub
  listen       TEXT    NOT NULL DEFAULT '',-- address to listen on
  advertise    TEXT    NOT NULL DEFAULT '',-- host:port nodes are told
  listening    TEXT    NOT NULL DEFAULT '',-- address the daemon last listened on
  checkpoint   INTEGER NOT NULL DEFAULT 0, -- position that is on its way to being settled; 0: none
  settled_at   INTEGER NOT NULL DEFAULT 0, -- position when settled moved last
  -- at both
  settled      INTEGER NOT NULL DEFAULT 0  -- up to this position, of others' work at a node, nothing need be remembered
);

-- Tables and columns have numbers here, which stay when a column goes and comes back.
CREATE TABLE ravno_table(number INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE ravno_column(tab INTEGER NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL,
  PRIMARY KEY(tab, number));

-- Counters whose rows all have a base in their shadows.
CREATE TABLE ravno_counting(tab INTEGER NOT NULL, col INTEGER NOT NULL, PRIMARY KEY(tab, col));

-- At the hub: what it knows of each node. Local to the hub.
CREATE TABLE ravno_peer(
  site          INTEGER PRIMARY KEY,
  incarnation   BLOB    NOT NULL,
  have          INTEGER NOT NULL DEFAULT 0, -- node position committed here
  until         INTEGER NOT NULL DEFAULT 0, -- end of the node's delta of which slices are coming; 0: none
  acked         INTEGER NOT NULL DEFAULT 0, -- hub position committed there
  floor         INTEGER NOT NULL DEFAULT 0, -- least hub position its unsent work has seen
  heard         INTEGER NOT NULL DEFAULT 0, -- newest stamp in what it has sent: older births are known here
  checkpoint    INTEGER NOT NULL DEFAULT 0, -- have when the checkpoint was taken
  settled       INTEGER NOT NULL DEFAULT 0, -- of its positions, when the hub's settled moved last
  serial        TEXT    NOT NULL DEFAULT '',-- of its certificate
  last_transfer INTEGER NOT NULL DEFAULT 0
);

-- At the hub: join tokens, by the hash of their secret.
CREATE TABLE ravno_token(
  hash    BLOB PRIMARY KEY,
  name    TEXT    NOT NULL,
  expires INTEGER NOT NULL,  -- Unix ms
  site    INTEGER            -- the node it enrolled; NULL: unused
);

-- At a node: own work that a newer write replaced before the hub had it. It still goes to the hub.
CREATE TABLE ravno_overwritten(id INTEGER PRIMARY KEY, position INTEGER NOT NULL, tab INTEGER NOT NULL,
  change BLOB NOT NULL);

-- Rows that were moved from one document to another, or deleted from one and made anew in
-- another under the same key: others show both documents changed, or none.
CREATE TABLE ravno_moved(id INTEGER PRIMARY KEY, position INTEGER NOT NULL, former BLOB NOT NULL, document BLOB NOT NULL);
CREATE INDEX ravno_moved_position ON ravno_moved(position);

-- Rows that are sent in an earlier slice of a delta than all of their versions belong to. Whoever
-- has got that slice has the row as it was at the end of the delta.
CREATE TABLE ravno_ahead(
  site  INTEGER NOT NULL, -- that the delta was for; 0: the hub
  tab   INTEGER NOT NULL,
  key   BLOB    NOT NULL,
  slice INTEGER NOT NULL, -- its end; positions are those of this site
  until INTEGER NOT NULL, -- the end of the delta
  there INTEGER NOT NULL DEFAULT 0, -- the site has said that it has got the slice, of that delta
  PRIMARY KEY(site, tab, key, slice)) WITHOUT ROWID;
CREATE INDEX ravno_ahead_until ON ravno_ahead(site, until);

-- At the hub: who last changed which row of a document, and where in the hub's history.
CREATE TABLE ravno_change(document BLOB NOT NULL, tab INTEGER NOT NULL, key BLOB NOT NULL, site INTEGER NOT NULL,
  position INTEGER NOT NULL, dead INTEGER NOT NULL, before BLOB NOT NULL, -- values before, where known
  PRIMARY KEY(document, tab, key, site)) WITHOUT ROWID;
CREATE INDEX ravno_change_position ON ravno_change(position);

-- At the hub: the unique values by which rows could be referred to before somebody changed them.
CREATE TABLE ravno_former(id INTEGER PRIMARY KEY, tab INTEGER NOT NULL, key BLOB NOT NULL, site INTEGER NOT NULL,
  position INTEGER NOT NULL, names BLOB NOT NULL);
CREATE INDEX ravno_former_position ON ravno_former(position);

-- Rows whose values are known but which are not in their table: held (a constraint keeps them
-- out), incomplete (some values are still to come) or tombstone (deleted, kept in case an edit was newer).
CREATE TABLE ravno_image(tab INTEGER NOT NULL, key BLOB NOT NULL, state TEXT NOT NULL, image BLOB NOT NULL,
  PRIMARY KEY(tab, key)) WITHOUT ROWID;

CREATE INDEX ravno_image_held ON ravno_image(tab) WHERE state='held';

-- Replicated: rows whose key was another one's too, and the fresh key the hub gave them.
CREATE TABLE ravno_rename(
  id       INTEGER PRIMARY KEY,
  site     INTEGER NOT NULL,  -- that made the row
  tab      TEXT    NOT NULL,
  old      INTEGER NOT NULL,
  birth    INTEGER NOT NULL,  -- the time of the row's birth, by which its maker knows it
  new      INTEGER NOT NULL,
  position INTEGER NOT NULL   -- of the hub: whoever has seen it uses the new key
);
CREATE INDEX ravno_rename_site ON ravno_rename(site, position);

-- Replicated: the servers, the settings of tables, the conflicts.
CREATE TABLE ravno_site(site INTEGER PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, removed INTEGER NOT NULL DEFAULT 0);
CREATE TABLE ravno_setting(tab TEXT PRIMARY KEY NOT NULL, class TEXT NOT NULL, document TEXT, counters TEXT NOT NULL DEFAULT '');
CREATE TABLE ravno_conflict(
  id           TEXT PRIMARY KEY NOT NULL,
  kind         TEXT    NOT NULL,
  tab          TEXT    NOT NULL,
  key          BLOB    NOT NULL,
  document_tab TEXT    NOT NULL,
  document_key BLOB    NOT NULL,
  sites        TEXT    NOT NULL, -- numbers, separated by commas
  found_at     INTEGER NOT NULL, -- Unix ms
  detail       TEXT    NOT NULL, -- JSON: the values on every side
  revision     INTEGER NOT NULL, -- grows when more is found
  resolved     INTEGER NOT NULL DEFAULT 0, -- the revision an admin has resolved; open if less
  resolved_by  TEXT    NOT NULL DEFAULT '',
  resolved_at  INTEGER NOT NULL DEFAULT 0,
  note         TEXT    NOT NULL DEFAULT '',
  undo         TEXT    NOT NULL DEFAULT ''  -- JSON: what the resolution replaced, to take it back
);
CREATE INDEX ravno_conflict_document ON ravno_conflict(document_tab, document_key);
CREATE INDEX ravno_conflict_open ON ravno_conflict(kind) WHERE revision>resolved;

-- Journal: ravno's own events.
CREATE TABLE ravno_event(id INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, site TEXT NOT NULL, text TEXT NOT NULL);
