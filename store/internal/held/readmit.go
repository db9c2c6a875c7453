package held

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// maxReadmitRounds bounds how often the held rows are gone through in one transaction. Each
// round places at least one row, and a row only gives way to an older priority, so rounds end
// by themselves; the bound is for the proof being wrong.
const maxReadmitRounds = 10_000

// Row is a row that waits for its place.
type Row struct {
	T        *catalog.Table
	Key      crdt.Key
	Image    *catalog.Values
	Priority hlc.Stamp // the newest stamp among the columns of its unique indexes
}

// ReadmitAll puts held rows into their tables where they fit: of two rows that priority one
// value, the one with the older priority stays and the other is held, and with it whatever
// refers to it. Every site decides alike, because priorities are stamps.
// It reports whether some row became held since it was last called, or is held no more.
func (h *Set) ReadmitAll() (changed bool, err error) {
	if !h.Try && !h.tx.Wrote() {
		return false, nil
	}
	if err := h.readmitUntilStable(); err != nil {
		return false, err
	}
	changed, h.Changed = h.Changed, false
	return changed, nil
}

func (h *Set) readmitUntilStable() error {
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
		followed, err := h.excludeFollowers(held)
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
func (h *Set) readmitFitting(held []Row) (placed bool, err error) {
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
func (h *Set) readmitCycle(first Row, held []Row) (placed bool, err error) {
	group := []Row{first}
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
			if parent >= 0 && !slices.ContainsFunc(group,
				func(r Row) bool { return r.T == held[parent].T && r.Key == held[parent].Key }) {
				group = append(group, held[parent])
			}
		}
	}
	if len(group) == 1 {
		return false, nil
	}
	err = h.tx.Attempt(func() (bool, error) {
		for _, row := range group {
			if err := h.tx.Insert(row.T, row.Image); err != nil {
				if rows.IsConstraint(err) {
					return false, nil
				}
				return false, err
			}
			if err := h.drop(row); err != nil {
				return false, err
			}
		}
		placed = true
		return true, nil
	})
	return placed, err
}

// Rows are the rows to place, oldest priority first.
func (h *Set) Rows() ([]Row, error) {
	var held []Row
	err := h.tx.EachKept(nil, func(row catalog.Reference, m *catalog.Values) error {
		if t := h.tx.Cat.ByNumber[row.Tab]; t != nil {
			held = append(held, Row{T: t, Key: row.Key, Image: m})
		}
		return nil
	}, catalog.Held)
	if err != nil {
		return nil, err
	}
	for i := range held {
		if held[i].Priority, err = h.Priority(held[i].T, held[i].Key); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(held, func(a, b Row) int {
		return cmp.Or(a.Priority.Compare(b.Priority), strings.Compare(string(a.Key), string(b.Key)))
	})
	return held, nil
}

// Priority is when a row last wrote a column of a unique index.
func (h *Set) Priority(t *catalog.Table, key crdt.Key) (hlc.Stamp, error) {
	row, err := h.tx.ReadShadow(t, key)
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
func (h *Set) readmit(row Row) (bool, error) {
	err := h.tx.Insert(row.T, row.Image)
	if err == nil {
		return true, h.drop(row)
	}
	if !rows.IsConstraint(err) {
		return false, err
	}
	if !rows.IsUnique(err) {
		return false, nil // NOT NULL or CHECK: nothing that could give way
	}
	blockers, err := h.tx.Blockers(row.T, row.Key, row.Image)
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
		m, err := h.tx.ReadTable(row.T, key)
		if err != nil {
			return false, err
		}
		if err := h.Exclude(row.T, key, m); err != nil {
			return false, err
		}
	}
	if err := h.tx.Insert(row.T, row.Image); err != nil {
		if rows.IsConstraint(err) {
			return true, nil // something else gave way; the next round decides
		}
		return false, err
	}
	return true, h.drop(row)
}
