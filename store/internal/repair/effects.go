package repair

import (
	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
)

// Merged is one row that a delta has deleted, or whose referred values it has changed.
type Merged struct {
	T        *catalog.Table
	Key      crdt.Key
	Document catalog.Reference
	Was      *catalog.Values // the values before
	Seen     causal.Position // this site's position that the author had seen
}

// Arrival is a live row with foreign keys that a delta has brought or changed. Seen is this site's
// position that the author had seen.
type Arrival struct {
	catalog.Reference
	Seen causal.Position
}

// unseen is the question whether a table has work above a position. It is the key of a cache.
type unseen struct {
	t     *catalog.Table
	above causal.Position
}

// Effects collects what one delta did to rows that refer to others or are referred to. It covers the
// changes that can leave one without the other. It belongs to one transaction.
type Effects struct {
	tx       *rows.Tx
	author   causal.Site     // the author of the delta, or 0 for the hub
	Seen     causal.Position // this site's position that the sender had seen
	Died     []Merged
	Moved    []Merged // live rows whose referred values have changed
	Arrived  []Arrival
	unsent   map[catalog.Reference]bool // at a node: the documents with work the sender did not have
	relevant map[unseen]bool            // answers of UnseenWork
	Clashed  []catalog.Reference        // documents that one side deleted and another edited
	none     bool                       // at a node: unsent is known to be empty
}

// NewEffects begins with a delta by an author that had seen a position of this site. An author of 0 is
// the hub, so this site is a node.
func NewEffects(tx *rows.Tx, author causal.Site, seen causal.Position) *Effects {
	return &Effects{tx: tx, author: author, Seen: seen, relevant: map[unseen]bool{}}
}

// Concern reports whether the delta can need a repair or can cross with own work. At the hub it always
// can. At a node it can only if there is work that the sender did not have.
func (n *Effects) Concern() (bool, error) {
	if n.author != 0 || n.none || len(n.unsent) > 0 {
		return !n.none, nil
	}
	var err error
	n.unsent, err = n.unsentDocuments()
	n.none = err == nil && len(n.unsent) == 0
	return !n.none, err
}

// UnseenWork reports whether a table has rows that changed above a position of this site. It reads each
// answer once.
func (n *Effects) UnseenWork(t *catalog.Table, above causal.Position) (bool, error) {
	asked := unseen{t, above}
	if any, known := n.relevant[asked]; known {
		return any, nil
	}
	any, err := history.AnyChanged(n.tx, t, above)
	n.relevant[asked] = any
	return any, err
}
