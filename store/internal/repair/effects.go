package repair

import (
	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
)

// Merged is one row that a delta has changed.
type Merged struct {
	T        *catalog.Table
	Key      crdt.Key
	Document catalog.Reference
	Was      *catalog.Values // of a row that died
	Seen     causal.Position // what the author had seen of this site
}

// Arrival is a row that a delta has brought or changed.
type Arrival struct {
	catalog.Reference
	Seen causal.Position
}

// unseen asks for work in a table above a position.
type unseen struct {
	t     *catalog.Table
	above causal.Position
}

// Effects is what a delta has done to rows that refer to others or are referred to, as far as
// it can have left one without the other.
type Effects struct {
	tx       *rows.Tx
	author   causal.Site     // of the delta: a node; 0: the hub
	Seen     causal.Position // of this site, what its sender had seen
	Died     []Merged
	Moved    []Merged // live rows: their values that others refer to have changed; was: what they were
	Arrived  []Arrival
	unsent   map[catalog.Reference]bool // at a node: the documents with work the sender did not have
	relevant map[unseen]bool            // there is work in the table that the author had not seen
	Clashed  []catalog.Reference        // documents that one side deleted and another edited
	none     bool                       // at a node: there is no document with such work
}

func NewEffects(tx *rows.Tx, author causal.Site, seen causal.Position) *Effects {
	return &Effects{tx: tx, author: author, Seen: seen, relevant: map[unseen]bool{}}
}

// Concern reports whether there can be anything to repair: at a node, only where it has work that the
// sender of the delta did not have.
func (n *Effects) Concern() (bool, error) {
	if n.author != 0 || n.none || len(n.unsent) > 0 {
		return !n.none, nil
	}
	var err error
	n.unsent, err = n.unsentDocuments()
	n.none = err == nil && len(n.unsent) == 0
	return !n.none, err
}

// UnseenWork reports whether a table has rows changed above a position of this site.
func (n *Effects) UnseenWork(t *catalog.Table, above causal.Position) (bool, error) {
	asked := unseen{t, above}
	if any, known := n.relevant[asked]; known {
		return any, nil
	}
	any, err := history.AnyChanged(n.tx, t, above)
	n.relevant[asked] = any
	return any, err
}
