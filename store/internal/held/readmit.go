package held

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

// maxReadmitRounds bounds how often the held rows are gone through in one transaction. Each
// round places at least one row, and a row only gives way to an older priority, so rounds end
// by themselves; the bound is for the proof being wrong.
const maxReadmitRounds = 10_000

func IsConstraint(err error) bool { return sqlite.FailureOf(err) == sqlite.Constraint }

// HeldRow is a row that waits for its place.
type HeldRow struct {
	T        *catalog.Table
	Key      crdt.Key
	Image    *catalog.Values
	Priority hlc.Stamp // the newest stamp among the columns of its unique indexes
}

// ReadmitAll puts held rows into their tables where they fit: of two rows that priority one
// value, the one with the older priority stays and the other is held, and with it whatever
// refers to it. Every site decides alike, because priorities are stamps.
// It reports whether some row became held since it was last called, or is held no more.
func (h *HeldSet) ReadmitAll() (changed bool, err error) {
	if !h.Try && !h.tx.Wrote || h.tx.NoImages {
		return false, nil
	}
	if err := h.readmitUntilSettled(); err != nil {
		return false, err
	}
	changed, h.Changed = h.Changed, false
	return changed, nil
}

func (h *HeldSet) readmitUntilSettled() error {
	for range maxReadmitRounds {
		held, err := h.Rows()
		if err != nil {
			return err
		}
		if len(held) == 0 && len(h.excluded) == 0 {
			break
		}
		placed, err := h.readmitFitting(held)
		if err != nil {
			return err
		}
		followed, err := h.holdFollowers(held)
		if err != nil {
			return err
		}
		if !placed && !followed {
			return nil
		}
	}
	held, err := h.Rows()
	if err == nil && len(held) > 0 {
		return fmt.Errorf("%d held rows still moving after %d rounds", len(held), maxReadmitRounds)
	}
	return err
}

// readmitFitting tries to place each row, and reports whether any was.
func (h *HeldSet) readmitFitting(held []HeldRow) (placed bool, err error) {
	for _, row := range held {
		stays, err := h.MustStayHeld(row, held)
		if err != nil {
			return false, err
		}
		if stays {
			continue
		}
		ok, err := h.readmit(row)
		if err != nil {
			return false, err
		}
		placed = placed || ok
	}
	if placed {
		return true, nil
	}
	for _, row := range held {
		if !row.T.Cyclic {
			continue
		}
		if placed, err = h.readmitCycle(row, held); placed || err != nil {
			return placed, err
		}
	}
	return false, nil
}

// readmitCycle places rows that refer to each other in a circle, all together or not at all.
func (h *HeldSet) readmitCycle(first HeldRow, held []HeldRow) (placed bool, err error) {
	group := []HeldRow{first}
	for i := 0; i < len(group); i++ {
		for _, l := range group[i].T.Up {
			parent, err := h.heldParent(l, group[i], held)
			if err != nil {
				return false, err
			}
			if parent < 0 {
				if orphan, err := h.orphaned(l, group[i]); err != nil || orphan {
					return false, err
				}
			}
			if parent >= 0 && !slices.ContainsFunc(group, func(r HeldRow) bool { return r.T == held[parent].T && r.Key == held[parent].Key }) {
				group = append(group, held[parent])
			}
		}
	}
	if len(group) == 1 {
		return false, nil
	}
	if err := h.tx.C.Exec("SAVEPOINT ravno_cycle"); err != nil {
		return false, err
	}
	defer func() {
		if !placed {
			err = errors.Join(err, h.tx.C.Exec("ROLLBACK TO ravno_cycle"))
		}
		err = errors.Join(err, h.tx.C.Exec("RELEASE ravno_cycle"))
	}()
	for _, row := range group {
		if err := h.tx.InsertImage(row.T, row.Image); err != nil {
			if IsConstraint(err) {
				return false, nil
			}
			return false, err
		}
		if err := h.drop(row); err != nil {
			return false, err
		}
	}
	return true, nil
}

// Rows are the rows to place, oldest priority first.
func (h *HeldSet) Rows() ([]HeldRow, error) {
	var held []HeldRow
	err := h.tx.C.Rows("SELECT tab, key, image FROM ravno_image WHERE state='held'", nil, func(row []crdt.Value) error {
		t := h.tx.Cat.ByNumber[row[0].Int()]
		if t == nil {
			return nil
		}
		m, err := catalog.DecodeImage(row[2])
		held = append(held, HeldRow{T: t, Key: crdt.Key(row[1].Bytes()), Image: m})
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range held {
		if held[i].Priority, err = h.Priority(held[i].T, held[i].Key); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(held, func(a, b HeldRow) int {
		return cmp.Or(a.Priority.Compare(b.Priority), strings.Compare(string(a.Key), string(b.Key)))
	})
	return held, nil
}

// Priority is when a row last wrote a column of a unique index.
func (h *HeldSet) Priority(t *catalog.Table, key crdt.Key) (hlc.Stamp, error) {
	row, _, _, err := h.tx.ReadShadow(t, key)
	if err != nil {
		return hlc.Stamp{}, err
	}
	priority := row.Birth.Stamp
	for _, index := range t.Unique {
		for _, part := range index.Parts {
			if part.Column < 0 || index.Where != "" {
				return row.Newest(), nil // an expression, or the condition: any column may be in it
			}
			if s := row.Version(crdt.Column(t.Numbers[part.Column])).Stamp; s.After(priority) {
				priority = s
			}
		}
	}
	return priority, nil
}

// readmit tries to insert a held row, removing rows with newer priorities that are in its way.
func (h *HeldSet) readmit(row HeldRow) (bool, error) {
	err := h.tx.InsertImage(row.T, row.Image)
	if err == nil {
		return true, h.drop(row)
	}
	if !IsConstraint(err) {
		return false, err
	}
	if !sqlite.IsUnique(err) {
		return false, nil // NOT NULL or CHECK: nothing that could give way
	}
	blockers, err := h.Blockers(row)
	if err != nil || len(blockers) == 0 {
		return false, err
	}
	for _, key := range blockers {
		priority, err := h.Priority(row.T, key)
		if err != nil {
			return false, err
		}
		if order := cmp.Or(row.Priority.Compare(priority), strings.Compare(string(row.Key), string(key))); order > 0 {
			return false, nil
		}
	}
	for _, key := range blockers {
		m, err := h.tx.TableImage(row.T, key)
		if err != nil {
			return false, err
		}
		if err := h.Exclude(row.T, key, m); err != nil {
			return false, err
		}
	}
	if err := h.tx.InsertImage(row.T, row.Image); err != nil {
		if IsConstraint(err) {
			return true, nil // something else gave way; the next round decides
		}
		return false, err
	}
	return true, h.drop(row)
}

// Blockers are the keys of the rows in the table that have one of the row's unique values.
// What those values are, expressions and generated columns included, SQLite itself says:
// the row is put in by force, asked, and taken out again with all it did.
func (h *HeldSet) Blockers(row HeldRow) ([]crdt.Key, error) {
	if len(row.T.Unique) == 0 {
		return nil, nil
	}
	values, err := h.uniqueValues(row)
	if err != nil || values == nil {
		return nil, err
	}
	t := row.T
	found := map[crdt.Key]bool{}
	for i, index := range t.Unique {
		if values[i] == nil {
			continue // the row is not in this partial index
		}
		var parts []string
		for _, part := range index.Parts {
			parts = append(parts, indexed(t, part)+" COLLATE "+sqlite.Quote(part.Collation)+" = ?")
		}
		if index.Where != "" {
			parts = append(parts, "("+index.Where+")")
		}
		err := h.tx.C.Rows("SELECT "+sqlite.QuoteAll("+", t.KeyNames())+" FROM "+sqlite.Quote(t.Name)+" WHERE "+strings.Join(parts, " AND "), values[i],
			func(stored []crdt.Value) error {
				key, err := t.CanonicalKey(stored)
				found[key] = true
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// indexed is an index part as SQL.
func indexed(t *catalog.Table, p schema.IndexPart) string {
	if p.Column < 0 {
		return "(" + p.Expr + ")"
	}
	return sqlite.Quote(t.Columns[p.Column].Name)
}

// uniqueValues are the values a held row would have in each unique index; nil for a partial
// index it would not be in. All are nil if it cannot even be put in by force.
func (h *HeldSet) uniqueValues(row HeldRow) (values [][]crdt.Value, err error) {
	if err := h.tx.C.Exec("SAVEPOINT ravno_trial"); err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, h.tx.C.Exec("ROLLBACK TO ravno_trial"), h.tx.C.Exec("RELEASE ravno_trial"))
	}()
	t := row.T
	if err := h.tx.StopMirrors(t, "a trial"); err != nil { // goes back with the savepoint
		return nil, err
	}
	force := strings.Replace(t.Sql.Insert, "INSERT "+row.T.Sql.Or, "INSERT OR REPLACE ", 1)
	if err := h.tx.C.Exec(force, t.Ordered(nil, row.Image)...); err != nil {
		if IsConstraint(err) {
			return nil, nil
		}
		return nil, err
	}
	key, err := row.Key.Values()
	if err != nil {
		return nil, err
	}
	for _, index := range t.Unique {
		var parts []string
		for _, part := range index.Parts {
			parts = append(parts, "+"+indexed(t, part))
		}
		where := t.Sql.KeyWhere
		if index.Where != "" {
			where += " AND (" + index.Where + ")"
		}
		found, err := h.tx.C.Row("SELECT "+strings.Join(parts, ", ")+" FROM "+sqlite.Quote(t.Name)+" WHERE "+where, key...)
		if err != nil {
			return nil, err
		}
		values = append(values, found)
	}
	return values, nil
}
