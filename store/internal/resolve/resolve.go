package resolve

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/journal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/conflict"
	"ravno/store/internal/fold"
	"ravno/store/internal/held"
	"ravno/store/internal/rows"
)

// Resolution is an admin's decision on a conflict: one side as a whole, or column by column.
type Resolution struct {
	Keep string                // the name of the site whose side comes into force
	Take map[string]string     // by column, the name of the site whose value is taken
	Set  map[string]crdt.Value // by column, a value set by hand
	By   string                // the admin who decides
	Note string
	// DryRun reports the writes and makes none.
	DryRun bool
}

// Write is one write of a resolution, or of an undo. It deletes a row, brings one back, or writes one
// column.
type Write struct {
	Table  string
	Key    []catalog.Named
	Column string          // empty for a row as a whole
	Before *crdt.Value     // the column's value before, or nil if not known
	Value  crdt.Value      // the column's new value
	Delete bool            // true for a deleted row, false for a row that comes back
	Row    []catalog.Named // the values of a row as a whole, if known
}

// ErrDryRun ends a dry run, so that its transaction is undone.
var ErrDryRun = errors.New("dry run")

// ResolveConflict carries out a decision on the conflict whose identifier begins with id, and closes
// the record. The caller has folded the log. It returns the writes. For a dry run it returns them with
// ErrDryRun. After any error the caller must undo the transaction.
func ResolveConflict(tx *rows.Tx, held *held.Set, id string, r Resolution) ([]Write, error) {
	x, err := conflict.Find(tx, id)
	if err != nil {
		return nil, err
	}
	if !x.Open && x.ResolvedBy == conflict.ByItself {
		return nil,
			fmt.Errorf(
				"conflict %s was closed by ravno itself%s: there is nothing to decide. Try: an ordinary write in the application",
				x.ID, closedWhy(&x))
	}
	if !x.Open {
		return nil, fmt.Errorf("conflict %s was resolved already, by %s at %s. Try: ravno conflict undo, then decide again",
			x.ID, x.ResolvedBy, x.ResolvedAt.Format("2006-01-02 15:04"))
	}
	d, err := newDecision(tx, held, &x)
	if err != nil {
		return nil, err
	}
	d.cascade = true
	if err := d.choose(r); err != nil {
		return nil, err
	}
	if err := d.write(); err != nil {
		return nil, err
	}
	kept, err := d.keepUndo()
	if err != nil {
		return nil, err
	}
	if err := tx.ChangeOwn("ravno_conflict", crdt.NewKey(catalog.Text(x.ID)),
		map[string]crdt.Value{"resolved": catalog.Integer(x.Revision),
			"resolved_by": catalog.Text(r.By), "resolved_at": catalog.Integer(tx.Now()), "note": catalog.Text(r.Note),
			"undo": catalog.Text(kept)}); err != nil {
		return nil, err
	}
	if err := tx.Record(journal.Resolved(tx.SiteName(tx.State.Site), x.ID, r.By)); err != nil {
		return nil, err
	}
	return d.conclude(r.DryRun)
}

// conclude folds the writes of a decision, checks the result and lists the writes. A dry run returns
// ErrDryRun, which undoes everything.
func (d *decision) conclude(dryRun bool) (writes []Write, err error) {
	if _, err := fold.Fold(d.tx, d.held); err != nil {
		return nil, err
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	if writes, err = d.writes(); err == nil && dryRun {
		err = ErrDryRun
	}
	return writes, err
}

// choose plans the writes of a resolution.
func (d *decision) choose(r Resolution) error {
	x := d.x
	if r.Keep != "" {
		i := slices.IndexFunc(x.Sites, func(name string) bool { return strings.EqualFold(name, r.Keep) })
		if i < 0 {
			return fmt.Errorf("conflict %s is between %s; %s is not one of them. Try: --keep %s", x.ID,
				strings.Join(x.Sites, " and "), r.Keep, x.Sites[0])
		}
		switch x.Kind {
		case crdt.Unique:
			return d.keepUnique(x.SiteNumbers[i], x.Sites[i])
		case crdt.ForeignKey:
			return d.keepReference(x.SiteNumbers[i])
		case crdt.EditEdit, crdt.EditDelete, crdt.KeyCollision:
		}
		return d.keepSide(x.SiteNumbers[i], x.Sites[i])
	}
	chosen := map[int]crdt.Value{}
	choose := func(name string, at int, v crdt.Value) error {
		if _, twice := chosen[at]; twice {
			return fmt.Errorf("conflict %s: %s is chosen twice. Try: each column once", x.ID, x.Columns[at].Spelling())
		}
		chosen[at] = v
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(r.Take)) {
		site := r.Take[name]
		at, err := find(x, name)
		if err != nil {
			return err
		}
		v, known := value(x.Columns[at].Values, site)
		if !known {
			return fmt.Errorf("conflict %s: the value of %s at %s is not known. Try: --set %s=VALUE", x.ID, name, site, name)
		}
		if v == nil {
			return fmt.Errorf("conflict %s: %s deleted the row of %s. Try: --keep %s", x.ID, site, name, site)
		}
		r, err := d.named(x.Columns[at].Table, x.Columns[at].RowKey)
		if err != nil {
			return err
		}
		if err := d.refuseForAnother(r); err != nil {
			return err
		}
		if err := choose(name, at, *v); err != nil {
			return err
		}
	}
	for name, v := range r.Set {
		at, err := find(x, name)
		if err != nil {
			return err
		}
		if err := choose(name, at, v); err != nil {
			return err
		}
	}
	return d.setColumns(chosen)
}

// value looks up a value by site name, without regard to case.
func value(values map[string]*crdt.Value, site string) (*crdt.Value, bool) {
	for name, v := range values {
		if strings.EqualFold(name, site) {
			return v, true
		}
	}
	return nil, false
}

// find finds the column that an admin means by NAME, TABLE.NAME or TABLE[KEY].NAME. Of two rows with
// one unique value it takes the held one. It returns an index into x.Columns.
func find(x *conflict.Conflict, name string) (int, error) {
	var found, spellings = []int(nil), []string(nil)
	for i, c := range x.Columns {
		if slices.ContainsFunc([]string{c.Name, c.Table + "." + c.Name, c.Spelling()},
			func(s string) bool { return strings.EqualFold(s, name) }) {
			found = append(found, i)
		}
		spellings = append(spellings, c.Spelling())
	}
	if x.Kind == crdt.Unique && len(found) > 1 {
		held := slices.DeleteFunc(slices.Clone(found),
			func(i int) bool { return !isHeldRow(x, x.Columns[i].Table, x.Columns[i].RowKey) })
		if len(held) == 1 {
			found = held
		}
	}
	switch {
	case len(found) == 0 && len(spellings) == 0:
		return 0, fmt.Errorf("conflict %s has no column %s, nor any other. Try: --keep SITE", x.ID, name)
	case len(found) == 0:
		return 0, fmt.Errorf("conflict %s has no column %s. Try: one of %s", x.ID, name, strings.Join(spellings, ", "))
	case len(found) > 1:
		return 0, fmt.Errorf("conflict %s has %d columns called %s. Try: one of %s", x.ID, len(found), name,
			strings.Join(spellings, ", "))
	}
	return found[0], nil
}

// isHeldRow reports whether the conflict of a unique value is about this row.
func isHeldRow(x *conflict.Conflict, table string, key crdt.Key) bool {
	return strings.EqualFold(table, x.Table) && hex.EncodeToString([]byte(key)) == x.KeyHex
}

// setColumns plans the chosen values, by index into the record's columns. It also writes values that
// are in force already, because a decision must be newer than the writes it decides on.
func (d *decision) setColumns(chosen map[int]crdt.Value) error {
	for i, c := range d.x.Columns {
		v, ok := chosen[i]
		if !ok {
			continue
		}
		r, err := d.named(c.Table, c.RowKey)
		if err != nil {
			return err
		}
		if !r.live() {
			return fmt.Errorf("conflict %s: the row of %s is not there. Try: --keep SITE to bring it back", d.x.ID, c.Spelling())
		}
		r.set(crdt.Column(r.t.Numbers[r.t.ByName[strings.ToLower(c.Name)]]), v)
	}
	return nil
}

// refuseForAnother returns an error if the row is not the one that the side wrote.
func (d *decision) refuseForAnother(r *decided) error {
	if !r.another && !d.documentGone {
		return nil
	}
	gone := r.String()
	if d.documentGone {
		gone = catalog.RowName(d.x.DocumentTable, d.x.DocumentKey)
	}
	return fmt.Errorf("conflict %s: %s was deleted since, and its key is another row's now. Try: --set COLUMN=VALUE "+
		"with what the row that is there is to have, its present value say", d.x.ID, gone)
}

// overtaken reports whether a later write, made in knowledge of both sides, has replaced the values of
// both.
func overtaken(c *conflict.ConflictColumn) bool {
	if c.InForce == nil {
		return false
	}
	for _, v := range c.Values {
		if v != nil && *v == *c.InForce {
			return false
		}
	}
	return c.Base == nil || *c.Base != *c.InForce
}
