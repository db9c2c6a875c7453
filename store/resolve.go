package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/journal"
	"ravno/store/internal/capture"
)

// Resolution is an admin's decision on a conflict: one side as a whole, or column by column.
type Resolution struct {
	Keep string                // site whose side is to be in force
	Take map[string]string     // column -> site
	Set  map[string]crdt.Value // column -> value
	By   string                // who decides
	Note string
	// DryRun says what would be written and writes nothing.
	DryRun bool
}

// Write is one thing a resolution does to a table.
type Write struct {
	Table  string
	Key    []Named
	Column string     // empty: the row as a whole
	Value  crdt.Value // if Column is set
	Delete bool
}

var errDryRun = errors.New("dry run")

// Resolve carries out a decision: ordinary writes of this site, made in full knowledge of
// both sides, together with who decided, when and why. They travel like any other write.
func (s *Store) Resolve(id string, r Resolution) (writes []Write, err error) {
	err = s.write(func(tx *transaction) error {
		if _, err := tx.fold(); err != nil {
			return err
		}
		all, err := readConflicts(tx.c, tx.cat, true)
		if err != nil {
			return err
		}
		x, err := findConflict(all, id)
		if err != nil {
			return err
		}
		if !x.Open {
			return fmt.Errorf("conflict %s was resolved already, by %s at %s. Try: an ordinary write in the application", x.ID, x.ResolvedBy, x.ResolvedAt.Format("2006-01-02 15:04"))
		}
		if writes, err = tx.decide(&x, r); err != nil {
			return err
		}
		if r.DryRun {
			return errDryRun
		}
		if err := tx.changeOwn("ravno_conflict", crdt.NewKey(text(x.ID)), map[string]crdt.Value{"resolved": integer(x.revision),
			"resolved_by": text(r.By), "resolved_at": integer(tx.now()), "note": text(r.Note)}); err != nil {
			return err
		}
		if err := tx.record(journal.Resolved(tx.siteName(tx.state.site), x.ID, r.By)); err != nil {
			return err
		}
		_, err = tx.fold()
		return err
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	return writes, err
}

// decide carries a resolution out in the tables.
func (tx *transaction) decide(x *Conflict, r Resolution) ([]Write, error) {
	if r.Keep != "" {
		i := slices.IndexFunc(x.Sites, func(name string) bool { return strings.EqualFold(name, r.Keep) })
		if i < 0 {
			return nil, fmt.Errorf("conflict %s is between %s; %s is not one of them. Try: --keep %s", x.ID, strings.Join(x.Sites, " and "), r.Keep, x.Sites[0])
		}
		return tx.keepSide(x, x.sites[i])
	}
	chosen := map[int]crdt.Value{}
	for name, site := range r.Take {
		at, err := x.find(name)
		if err != nil {
			return nil, err
		}
		v, known := value(x.Columns[at].Values, site)
		if !known {
			return nil, fmt.Errorf("conflict %s: the value of %s at %s is not known. Try: --set %s=VALUE", x.ID, name, site, name)
		}
		if v == nil {
			return nil, fmt.Errorf("conflict %s: %s deleted the row of %s. Try: --keep %s", x.ID, site, name, site)
		}
		if _, twice := chosen[at]; twice {
			return nil, fmt.Errorf("conflict %s: %s is chosen twice. Try: each column once", x.ID, x.Columns[at].Spelling())
		}
		chosen[at] = *v
	}
	for name, v := range r.Set {
		at, err := x.find(name)
		if err != nil {
			return nil, err
		}
		if _, twice := chosen[at]; twice {
			return nil, fmt.Errorf("conflict %s: %s is chosen twice. Try: each column once", x.ID, x.Columns[at].Spelling())
		}
		chosen[at] = v
	}
	return tx.writeColumns(x, chosen)
}

func value(values map[string]*crdt.Value, site string) (*crdt.Value, bool) {
	for name, v := range values {
		if strings.EqualFold(name, site) {
			return v, true
		}
	}
	return nil, false
}

// find finds the column an admin means: NAME, TABLE.NAME, or TABLE[KEY].NAME where the
// document has several such rows.
func (x *Conflict) find(name string) (int, error) {
	var found, spellings = []int(nil), []string(nil)
	for i, c := range x.Columns {
		for _, spelling := range []string{c.Name, c.Table + "." + c.Name, c.Spelling()} {
			if strings.EqualFold(spelling, name) {
				found = append(found, i)
				break
			}
		}
		spellings = append(spellings, c.Spelling())
	}
	switch {
	case len(found) == 0:
		return 0, fmt.Errorf("conflict %s has no column %s. Try: one of %s", x.ID, name, strings.Join(spellings, ", "))
	case len(found) > 1:
		return 0, fmt.Errorf("conflict %s has %d columns called %s. Try: one of %s", x.ID, len(found), name, strings.Join(spellings, ", "))
	}
	return found[0], nil
}

// Spelling is the unambiguous name of a column in its conflict: TABLE[KEY].NAME.
func (c ConflictColumn) Spelling() string {
	var key []string
	for _, k := range c.Key {
		key = append(key, k.Value.String())
	}
	return c.Table + "[" + strings.Join(key, ",") + "]." + c.Name
}

// writeColumns writes the chosen values. Values that are in force already are written too:
// a decision is newer than what it decided about.
func (tx *transaction) writeColumns(x *Conflict, chosen map[int]crdt.Value) ([]Write, error) {
	var writes []Write
	aside := map[reference]image{} // rows that are not in their table: written when all is chosen
	for i, c := range x.Columns {
		v, ok := chosen[i]
		if !ok {
			continue
		}
		t := tx.cat.byName[strings.ToLower(c.Table)]
		column := crdt.Column(t.numbers[t.byName[strings.ToLower(c.Name)]])
		exists, err := tx.exists(t, c.key)
		if err != nil {
			return nil, err
		}
		if exists {
			if err := tx.updateImage(t, c.key, []crdt.Column{column}, image{column: v}); err != nil {
				return nil, tx.refuseResolution(x, err)
			}
		} else if err := tx.setAside(aside, x, &c, column, v); err != nil {
			return nil, err
		}
		if err := tx.log(t, c.key, capture.Update, []string{c.Name}); err != nil {
			return nil, err
		}
		writes = append(writes, Write{Table: c.Table, Key: c.Key, Column: c.Name, Value: v})
	}
	for row, m := range aside {
		t := tx.cat.byNumber[row.tab]
		if whole, err := t.complete(row.key, m); err != nil || !whole {
			return nil, errors.Join(err, fmt.Errorf("conflict %s: not every value of the row of %s is here yet. Try: again when this server is level", x.ID, t.Name))
		}
		if err := tx.insertImage(t, m); err != nil {
			return nil, tx.refuseResolution(x, err)
		}
		if err := tx.dropImage(t, row.key); err != nil {
			return nil, err
		}
	}
	return writes, nil
}

// setAside sets a column of a row that a constraint keeps out of its table.
func (tx *transaction) setAside(aside map[reference]image, x *Conflict, c *ConflictColumn, column crdt.Column, v crdt.Value) error {
	t := tx.cat.byName[strings.ToLower(c.Table)]
	row := t.reference(c.key)
	if aside[row] == nil {
		m, state, err := tx.readImage(t, c.key)
		if err != nil {
			return err
		}
		if state != imageHeld && state != imagePartial {
			return fmt.Errorf("conflict %s: the row of %s is not there. Try: --keep SITE to bring it back", x.ID, c.Spelling())
		}
		aside[row] = m
	}
	aside[row][column] = v
	return nil
}

func (tx *transaction) refuseResolution(x *Conflict, err error) error {
	if isConstraint(err) {
		return fmt.Errorf("conflict %s: the table does not take these values: %w. Try: --set COLUMN=VALUE with values that fit", x.ID, err)
	}
	return err
}

// keepSide puts one side's rows into force: what it wrote is written again, what it deleted
// is deleted, what others deleted and it kept whole comes back.
func (tx *transaction) keepSide(x *Conflict, site causal.Site) ([]Write, error) {
	chosen := map[int]crdt.Value{}
	var writes []Write
	name := x.Sites[slices.Index(x.sites, site)]
	for _, s := range x.detail.Sides {
		if s.Site != site {
			continue
		}
		t := tx.cat.byName[strings.ToLower(s.Table)]
		raw, err := hex.DecodeString(s.Key)
		if err != nil || t == nil {
			return nil, fmt.Errorf("conflict %s: table %s is not there any more", x.ID, s.Table)
		}
		write, err := tx.keepRow(x, t, crdt.Key(raw), s)
		if err != nil {
			return nil, err
		}
		writes = append(writes, write...)
	}
	gone, err := tx.deleteRest(x, site)
	if err != nil {
		return nil, err
	}
	writes = append(writes, gone...)
	back, err := tx.bringBack(x, site)
	if err != nil {
		return nil, err
	}
	writes = append(writes, back...)
	for i, c := range x.Columns {
		v, known := c.Values[name]
		t := tx.cat.byName[strings.ToLower(c.Table)]
		exists, err := tx.exists(t, c.key)
		if err != nil {
			return nil, err
		}
		_, kept, err := tx.readImage(t, c.key)
		if err != nil {
			return nil, err
		}
		if known && v != nil && (exists && !c.overtaken() || kept == imageHeld) {
			chosen[i] = *v
		}
	}
	more, err := tx.writeColumns(x, chosen)
	return append(writes, more...), err
}

// overtaken reports whether somebody has written the column since, in knowledge of both
// sides: what is in force is neither's value.
func (c *ConflictColumn) overtaken() bool {
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

// deleteRest deletes, if the kept side deleted the document, the rows others wrote in it.
func (tx *transaction) deleteRest(x *Conflict, site causal.Site) ([]Write, error) {
	root := slices.ContainsFunc(x.detail.Sides, func(s side) bool {
		return s.Site == site && s.Deleted && strings.EqualFold(s.Table, x.DocumentTable) && s.Key == x.documentKey
	})
	if !root {
		return nil, nil
	}
	var writes []Write
	for _, s := range x.detail.Sides {
		t := tx.cat.byName[strings.ToLower(s.Table)]
		raw, err := hex.DecodeString(s.Key)
		if s.Site == site || s.Deleted || t == nil || err != nil {
			continue
		}
		s.Deleted = true
		write, err := tx.keepRow(x, t, crdt.Key(raw), s)
		if err != nil {
			return nil, err
		}
		writes = append(writes, write...)
	}
	return writes, nil
}

// bringBack restores the rows of the document that another side deleted and the kept side
// had not touched: its document is kept whole.
func (tx *transaction) bringBack(x *Conflict, site causal.Site) ([]Write, error) {
	var writes []Write
	for _, s := range x.detail.Sides {
		own := slices.ContainsFunc(x.detail.Sides, func(o side) bool { return o.Site == site && o.Table == s.Table && o.Key == s.Key })
		t := tx.cat.byName[strings.ToLower(s.Table)]
		raw, err := hex.DecodeString(s.Key)
		if !s.Deleted || own || t == nil || err != nil {
			continue
		}
		before := side{Values: map[string]string{}}
		for _, b := range x.detail.Before {
			if b.Table == s.Table && b.Key == s.Key {
				before = b
			}
		}
		write, err := tx.keepRow(x, t, crdt.Key(raw), before)
		if err != nil {
			return nil, err
		}
		writes = append(writes, write...)
	}
	return writes, nil
}

// keepRow deletes a row its side had deleted, or brings back a row that is gone.
func (tx *transaction) keepRow(x *Conflict, t *table, key crdt.Key, s side) ([]Write, error) {
	exists, err := tx.exists(t, key)
	if err != nil {
		return nil, err
	}
	named := tx.cat.nameKey(t.Name, key)
	if s.Deleted {
		if !exists {
			return nil, nil
		}
		if err := tx.log(t, key, capture.Delete, nil); err != nil {
			return nil, err
		}
		return []Write{{Table: t.Name, Key: named, Delete: true}}, tx.remove(t, key)
	}
	m, state, err := tx.readImage(t, key)
	if err != nil || exists || state == imageHeld {
		return nil, err // a held row is placed with the values chosen for it
	}
	if m == nil {
		m = image{}
	}
	for name, encoded := range s.Values {
		v, err := decodeValue(encoded)
		if err != nil {
			return nil, err
		}
		if i, ok := t.byName[strings.ToLower(name)]; ok {
			m[crdt.Column(t.numbers[i])] = v
		}
	}
	whole, err := t.complete(key, m)
	if err != nil {
		return nil, err
	}
	if !whole {
		return nil, fmt.Errorf("conflict %s: not every value of the deleted row of %s is known here. Try: the same at %s, or enter the row again", x.ID, t.Name, strings.Join(x.Sites, " or "))
	}
	if err := tx.insertImage(t, m); err != nil {
		return nil, tx.refuseResolution(x, err)
	}
	return []Write{{Table: t.Name, Key: named}}, tx.log(t, key, capture.Insert, nil)
}
