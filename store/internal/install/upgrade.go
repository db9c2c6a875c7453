package install

import (
	"fmt"

	"ravno/store/internal/catalog"
	"ravno/store/internal/sqlite"
)

// upgrades bring ravno's own tables from one format to the next: upgrades[0] from 1 to 2.
// They create, add and copy. Renaming, and dropping a column, would make SQLite look at the application's
// views, which may call functions that only the application has. Dropping a whole table does not.
var upgrades = []string{
	// 2: references that follow, fresh keys for colliding rows, resolutions that can be taken back.
	`CREATE TABLE ravno_rename(id INTEGER PRIMARY KEY, site INTEGER NOT NULL, tab TEXT NOT NULL, old INTEGER NOT NULL,
		birth INTEGER NOT NULL,
	  new INTEGER NOT NULL, position INTEGER NOT NULL);
	CREATE INDEX ravno_rename_site ON ravno_rename(site, position);
	CREATE TABLE ravno_former(id INTEGER PRIMARY KEY, tab INTEGER NOT NULL, key BLOB NOT NULL, site INTEGER NOT NULL,
	  position INTEGER NOT NULL, names BLOB NOT NULL);
	CREATE INDEX ravno_former_position ON ravno_former(position);
	CREATE INDEX ravno_image_held ON ravno_image(tab) WHERE state='held';
	CREATE TABLE ravno_counting(tab INTEGER NOT NULL, col INTEGER NOT NULL, PRIMARY KEY(tab, col));
	CREATE INDEX ravno_conflict_open ON ravno_conflict(kind) WHERE revision>resolved;
	ALTER TABLE ravno_peer ADD COLUMN heard INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE ravno_conflict ADD COLUMN undo TEXT NOT NULL DEFAULT '';`,
	// 3: slices.
	`CREATE TABLE ravno_moved(id INTEGER PRIMARY KEY, position INTEGER NOT NULL, former BLOB NOT NULL, document BLOB NOT
		NULL);
	CREATE INDEX ravno_moved_position ON ravno_moved(position);`,
	// 4: what was sent early; settled rows are forgotten.
	`CREATE TABLE ravno_early(site INTEGER NOT NULL, tab INTEGER NOT NULL, key BLOB NOT NULL, slice INTEGER NOT NULL,
		until INTEGER NOT NULL,
	  there INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(site, tab, key, slice)) WITHOUT ROWID;
	CREATE INDEX ravno_early_until ON ravno_early(site, until);
	ALTER TABLE ravno_state ADD COLUMN until INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE ravno_state ADD COLUMN mark_seen INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE ravno_state ADD COLUMN mark INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE ravno_state ADD COLUMN settled_own INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE ravno_state ADD COLUMN checkpoint INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE ravno_state ADD COLUMN settled_at INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE ravno_state ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE ravno_peer ADD COLUMN until INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE ravno_peer ADD COLUMN checkpoint INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE ravno_peer ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;`,
	// 5: tables and states by the words of the field.
	`CREATE TABLE ravno_overwritten(id INTEGER PRIMARY KEY, position INTEGER NOT NULL, tab INTEGER NOT NULL,
	  change BLOB NOT NULL);
	INSERT INTO ravno_overwritten(id, position, tab, change) SELECT id, position, tab, change FROM ravno_displaced;
	DROP TABLE ravno_displaced;
	CREATE TABLE ravno_ahead(site INTEGER NOT NULL, tab INTEGER NOT NULL, key BLOB NOT NULL, slice INTEGER NOT NULL,
	  until INTEGER NOT NULL, there INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(site, tab, key, slice)) WITHOUT ROWID;
	INSERT INTO ravno_ahead(site, tab, key, slice, until, there)
	  SELECT site, tab, key, slice, until, there FROM ravno_early;
	DROP TABLE ravno_early;
	CREATE INDEX ravno_ahead_until ON ravno_ahead(site, until);
	CREATE TABLE ravno_change(document BLOB NOT NULL, tab INTEGER NOT NULL, key BLOB NOT NULL, site INTEGER NOT NULL,
	  position INTEGER NOT NULL, dead INTEGER NOT NULL, before BLOB NOT NULL,
	  PRIMARY KEY(document, tab, key, site)) WITHOUT ROWID;
	INSERT INTO ravno_change(document, tab, key, site, position, dead, before)
	  SELECT document, tab, key, site, position, dead, before FROM ravno_touch;
	DROP TABLE ravno_touch;
	CREATE INDEX ravno_change_position ON ravno_change(position);
	UPDATE ravno_image SET state='incomplete' WHERE state='partial';
	UPDATE ravno_image SET state='tombstone' WHERE state='remains';`,
}

// Upgrade brings an older file's own tables up to this program's format, in one
// transaction. A newer format is left to rows.ReadState to refuse.
func Upgrade(c *sqlite.Conn) error {
	format, err := c.Int("SELECT format FROM ravno_state")
	if err != nil || format < 1 || format >= catalog.Format {
		return err
	}
	return c.Transaction("IMMEDIATE", func() error {
		format, err := c.Int("SELECT format FROM ravno_state") // nobody else came first
		if err != nil {
			return err
		}
		for ; format < catalog.Format; format++ {
			if err := c.Exec(upgrades[format-1]); err != nil {
				return fmt.Errorf("bringing ravno's tables from format %d to %d: %w", format, format+1, err)
			}
		}
		return c.Exec("UPDATE ravno_state SET format=?", catalog.Integer(catalog.Format))
	})
}
