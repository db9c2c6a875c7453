package merge

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/journal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/install"
	"ravno/store/internal/rows"
)

// applySection checks the table and columns of a section and merges its changes. It returns a
// SchemaError for an unknown table or column, and an IdentityError for a node's write to the hub's
// tables.
func (in *incoming) applySection(section *crdt.Section) error {
	tx, author := in.tx, in.author
	t := tx.Cat.ByName[strings.ToLower(section.Table)]
	if author != 0 && isLocal(tx, section.Table) {
		// The node wrote this before it heard that the table is local now. The rows stay at the node.
		return tx.Record(journal.RowLeft(tx.SiteName(author), section.Table, errLocal))
	}
	if author != 0 && t != nil && t.Own && !mayWrite(t, section) {
		return &IdentityError{Node: author, Claimed: causal.Hub, Table: section.Table}
	}
	if t == nil || section.Journal != (t.Class == catalog.Journal) {
		return &catalog.SchemaError{Table: section.Table}
	}
	if len(section.KeyColumns) != len(t.Key) {
		return &catalog.SchemaError{Table: section.Table, Column: strings.Join(section.KeyColumns, ", ")}
	}
	columns := make([]crdt.Column, len(section.Columns))
	for i, name := range section.Columns {
		at, ok := t.ByName[strings.ToLower(name)]
		if !ok {
			return &catalog.SchemaError{Table: section.Table, Column: name}
		}
		columns[i] = crdt.Column(t.Numbers[at])
	}
	err := tx.Gather(len(section.Changes), func() error {
		for _, change := range section.Changes {
			if err := in.applyNamed(t, columns, change); err != nil {
				return fmt.Errorf("table %s: %w", t.Name, err)
			}
			in.applied.Changes++
			if author != 0 {
				tx.NextPosition()
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	switch {
	case t.Own && t.Name == "ravno_setting":
		return install.FollowSettings(tx)
	case t.Own && t.Name == "ravno_rename" && author == 0:
		return in.rekeying.FollowRekeyed(in.held)
	}
	return nil
}

// applyNamed translates the column indexes of a section into this site's column numbers, then applies
// the change.
func (in *incoming) applyNamed(t *catalog.Table, columns []crdt.Column, change crdt.Change) error {
	for i := range change.Registers {
		change.Registers[i].Column = columns[change.Registers[i].Column]
	}
	slices.SortFunc(change.Registers, func(a, b crdt.Register) int { return int(a.Column) - int(b.Column) })
	for i := range change.Parts {
		change.Parts[i].Column = columns[change.Parts[i].Column]
	}
	slices.SortStableFunc(change.Parts, func(a, b crdt.ChangePart) int { return int(a.Column) - int(b.Column) })
	if err := in.rekeying.Translate(t, &change); err != nil {
		return err
	}
	if t.Class == catalog.Journal {
		return install.KeepJournal(in.tx, t, in.author, change)
	}
	return in.applyChange(t, change)
}

// errLocal is the reason in the journal for rows of a table that is local now.
var errLocal = errors.New("the table is local now; what was written there meanwhile stays there")

// isLocal reports whether a table is local at this site.
func isLocal(tx *rows.Tx, name string) bool {
	return slices.ContainsFunc(tx.Cat.Local, func(local string) bool { return strings.EqualFold(local, name) })
}

// mayWrite reports whether a node may write a section of ravno's own tables. A node may write its
// events, and the resolution of a conflict. Servers and settings belong to the hub.
func mayWrite(t *catalog.Table, section *crdt.Section) bool {
	if t.Class == catalog.Journal {
		return true
	}
	return t.Name == "ravno_conflict" && !slices.ContainsFunc(section.Columns, func(name string) bool {
		return !slices.Contains([]string{"resolved", "resolved_by", "resolved_at", "note", "undo"}, name)
	})
}
