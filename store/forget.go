package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/shadow"
	"ravno/store/internal/sqlite"
)

// forgetLook is how many rows one snapshot looks for at most: it is short, and their keys are
// held in memory.
const forgetLook = 16384

// forgetRows is how many rows are forgotten in one transaction: some ten milliseconds.
const forgetRows = 1024

// forgettable is a shadow row that need not be remembered, as the shadow table stores it.
type forgettable struct {
	t        *table
	key, row crdt.Value
}

// Forget forgets what is settled: shadow rows, tombstones and the remains of deleted rows. It
// looks at everything that is remembered, unless nothing has settled since it did, and takes
// turns with the application. The file does not get smaller, but is filled anew before it grows.
func (s *Store) Forget(ctx context.Context) error {
	for {
		var found []forgettable
		var upTo settling
		err := s.readBulk(func(c *sqlite.Conn, st *state, cat *catalog) error {
			upTo = st.settling
			if upTo.settled == 0 || s.forgot.Load() == upTo.mostSettled() {
				return nil // what a first load brought has no position here, and is not settled at once
			}
			needed, err := neededRows(c, cat)
			if err == nil {
				found, err = findForgettable(c, st, cat, needed)
			}
			return err
		})
		for rest := found; err == nil && len(rest) > 0; {
			n := min(len(rest), forgetRows)
			err = s.keepMarks(func(tx *transaction) error { return tx.forget(rest[:n]) })
			if rest = rest[n:]; err == nil {
				err = ctx.Err()
			}
		}
		if err != nil {
			return fmt.Errorf("%s: forgetting what is settled: %w", s.path, err)
		}
		if len(found) < forgetLook {
			s.forgot.Store(upTo.mostSettled())
			return nil
		}
	}
}

// mostSettled is a number that moves when anything settles.
func (s settling) mostSettled() uint64 { return uint64(s.settled) + uint64(s.settledOwn) }

// errEnough ends reading rows.
var errEnough = errors.New("enough rows")

// findForgettable finds shadow rows of which nothing has to be remembered. Of tables with
// counters all is: the parts of a counter are a total since its base. So it is where rows are
// held, because which of two rows has claimed a value longer is known by their stamps. Rows that
// are needed for something else are, because an admin may bring them back.
func findForgettable(c *sqlite.Conn, st *state, cat *catalog, needed map[reference]bool) (found []forgettable, err error) {
	keeps := map[int64]bool{}
	err = c.Rows("SELECT tab FROM ravno_counting UNION SELECT tab FROM ravno_image WHERE state='held'", nil, func(row []crdt.Value) error {
		keeps[row[0].Int()] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	last, where := st.settled, hasPosition+" AND position<=?" // at the hub, where a row's position is that of its newest version
	if !st.isHub() {
		last, where = st.settledOwn, "+position<=?" // at a node it is that of the newest which the hub is to get; most have none
	}
	for _, t := range cat.tables {
		if keeps[t.number] || t.class != Synced && t.class != Journal {
			continue
		}
		if err == nil {
			err = c.Rows("SELECT key, row FROM "+t.shadow+" WHERE "+where, []crdt.Value{integer(last)}, func(values []crdt.Value) error {
				row, err := shadow.Decode(values[1].Bytes())
				if err != nil || !st.isSettled(row) || len(needed) > 0 && needed[t.reference(t.keyOf(values[0]))] {
					return err
				}
				if found = append(found, forgettable{t, values[0], values[1]}); len(found) == forgetLook {
					return errEnough
				}
				return nil
			})
		}
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, err
}

// neededRows are the rows that open conflicts are about, and those with values still to come.
func neededRows(c *sqlite.Conn, cat *catalog) (map[reference]bool, error) {
	rows := map[reference]bool{}
	add := func(name string, key crdt.Key) {
		if t := cat.byName[strings.ToLower(name)]; t != nil {
			rows[t.reference(key)] = true
		}
	}
	err := c.Rows("SELECT tab, key, document_tab, document_key, detail FROM ravno_conflict WHERE revision>resolved", nil, func(row []crdt.Value) error {
		add(row[0].Bytes(), crdt.Key(row[1].Bytes()))
		add(row[2].Bytes(), crdt.Key(row[3].Bytes()))
		var det detail
		if err := json.Unmarshal([]byte(row[4].Bytes()), &det); err != nil {
			return err
		}
		for _, s := range slices.Concat(det.Sides, det.Before) {
			key, err := hex.DecodeString(s.Key)
			if err != nil {
				return err
			}
			add(s.Table, crdt.Key(key))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = c.Rows("SELECT tab, key FROM ravno_image WHERE state='partial'", nil, func(row []crdt.Value) error {
		rows[reference{tab: row[0].Int(), key: crdt.Key(row[1].Bytes())}] = true
		return nil
	})
	return rows, err
}

// forgetRow forgets a row whatever is remembered of it.
func (tx *transaction) forgetRow(t *table, key crdt.Key) error {
	stored, err := t.shadowKey(key)
	if err == nil {
		err = tx.c.Exec("DELETE FROM "+t.shadow+" WHERE key=?", stored)
	}
	if err == nil {
		err = tx.dropImage(t, key)
	}
	return err
}

// forget forgets rows that are as they were when they were found, and not kept elsewhere for
// lack of a place or of values.
func (tx *transaction) forget(rows []forgettable) error {
	for _, f := range rows {
		key := f.t.keyOf(f.key)
		_, state, err := tx.readImage(f.t, key)
		if err != nil {
			return err
		}
		if state == imageHeld || state == imagePartial {
			continue
		}
		if err := tx.c.Exec("DELETE FROM "+f.t.shadow+" WHERE key=? AND row=?", f.key, f.row); err != nil {
			return err
		}
		if state == imageNone {
			continue
		}
		changed, err := tx.c.Changes()
		if err == nil && changed > 0 {
			err = tx.dropImage(f.t, key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
