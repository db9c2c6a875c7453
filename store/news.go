package store

import (
	"slices"

	"ravno/crdt"
	"ravno/crdt/causal"
)

// merged is one row that a delta has changed.
type merged struct {
	t        *table
	key      crdt.Key
	document reference
	was      *image          // of a row that died
	seen     causal.Position // what the author had seen of this site
}

// arrival is a row that a delta has brought or changed.
type arrival struct {
	reference
	seen causal.Position
}

// unseen asks for work in a table above a position.
type unseen struct {
	t     *table
	above causal.Position
}

// effects is what a delta has done to rows that refer to others or are referred to, as far as
// it can have left one without the other.
type effects struct {
	tx       *transaction
	author   causal.Site     // of the delta: a node; 0: the hub
	seen     causal.Position // of this site, what its sender had seen
	died     []merged
	moved    []merged // live rows: their values that others refer to have changed; was: what they were
	arrived  []arrival
	unsent   map[reference]bool // at a node: the documents with work the sender did not have
	relevant map[unseen]bool    // there is work in the table that the author had not seen
	clashed  []reference        // documents that one side deleted and another edited
	none     bool               // at a node: there is no document with such work
}

func newEffects(tx *transaction, author causal.Site, seen causal.Position) *effects {
	return &effects{tx: tx, author: author, seen: seen, relevant: map[unseen]bool{}}
}

// concern reports whether there can be anything to repair: at a node, only where it has work that the
// sender of the delta did not have.
func (n *effects) concern() (bool, error) {
	if n.author != 0 || n.none || len(n.unsent) > 0 {
		return !n.none, nil
	}
	var err error
	n.unsent, err = n.unsentDocuments()
	n.none = err == nil && len(n.unsent) == 0
	return !n.none, err
}

// note remembers what merging a change may have left to mend.
func (in *incoming) note(m *merging, document reference) error {
	t, n := m.t, in.effects
	lost := m.author != 0 && len(m.out.Lost) > 0 && t.referredOtherwise() // a name that was never in force
	if t.own || len(t.up)+len(t.down) == 0 || !m.out.Changed && !lost {
		return nil
	}
	if any, err := n.concern(); err != nil || !any {
		return err
	}
	// What the author of a node's change had seen, and of the hub's, the hub itself.
	seen := n.seen
	if m.author != 0 {
		seen = causal.Position(m.change.Seen)
	}
	deleted := m.change.Death.After(m.row.Death.Stamp)
	if m.out.Died || deleted && m.present {
		n.died = append(n.died, merged{t: t, key: m.change.Key, document: document, was: m.was, seen: seen})
	}
	was, never := m.formerReferences()
	if was != nil && m.author != 0 { // of a deleted row too: what refers to it brings it back
		by := m.author
		if never {
			by = 0
		}
		if err := in.tx.renamed(t, m.change.Key, was, by); err != nil {
			return err
		}
	}
	if !m.out.Row.Live() {
		return nil
	}
	if was != nil {
		n.moved = append(n.moved, merged{t: t, key: m.change.Key, was: was, seen: seen})
	}
	for _, l := range t.up {
		known, err := n.unknownWork(l.parent, seen)
		if err != nil {
			return err
		}
		if known {
			n.arrived = append(n.arrived, arrival{reference: t.reference(m.change.Key), seen: seen})
			return nil
		}
	}
	return nil
}

// formerReferences are the values of a row by which others may refer to it, where merging has
// replaced them or, at the hub, has never let them in; nil if there are none.
func (m *merging) formerReferences() (former *image, never bool) {
	if !m.t.referredOtherwise() {
		return nil, false
	}
	replaced := func(indexes []int, of func(crdt.Register) (crdt.Value, bool)) *image {
		former := m.was.clone()
		any := false
		for _, i := range indexes {
			reg := m.change.Registers[i]
			referred := slices.ContainsFunc(m.t.down, func(l *link) bool {
				return !l.byKey() && slices.Contains(l.refers, m.t.byNum[reg.Column])
			})
			if v, ok := of(reg); referred && ok && former != nil {
				former.set(reg.Column, v)
				any = true
			}
		}
		if !any {
			return nil
		}
		return former
	}
	if m.author != 0 {
		if lost := replaced(m.out.Lost, func(r crdt.Register) (crdt.Value, bool) { return r.Value, true }); lost != nil {
			return lost, true
		}
	}
	return replaced(m.out.Won, func(r crdt.Register) (crdt.Value, bool) {
		v, known := m.was.get(r.Column)
		return v, known
	}), false
}

// unknownWork reports whether a table has rows changed above a position of this site.
func (n *effects) unknownWork(t *table, above causal.Position) (bool, error) {
	asked := unseen{t, above}
	if any, known := n.relevant[asked]; known {
		return any, nil
	}
	if err := n.tx.flushShadows(); err != nil {
		return false, err
	}
	count, err := n.tx.c.Int("SELECT EXISTS(SELECT 1 FROM "+t.shadow+" WHERE "+hasPosition+" AND position>?)", integer(above))
	n.relevant[asked] = count != 0
	return count != 0, err
}
