package merge

import (
	"errors"
	"fmt"
	"io"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/history"
)

// Delta is a delta on its way in: the sender's work between two positions, in sections.
type Delta struct {
	history.Span
	// Open begins to read the delta. The function next returns one section after another, and then
	// io.EOF. The caller may open a delta more than once.
	Open func() (next func() (*crdt.Section, error), err error)
}

// Each calls f with every section, in order. It stops at the first error.
func (d Delta) Each(f func(*crdt.Section) error) error {
	next, err := d.Open()
	if err != nil {
		return err
	}
	for {
		section, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(section); err != nil {
			return err
		}
	}
}

// Applied is the result of applying a delta.
type Applied struct {
	Changes   int             // changes merged
	Conflicts int             // conflict records written or extended
	Position  causal.Position // the position of this site afterwards
	// Floor is, at a node, the least hub position that its unsent work may have seen afterwards.
	// Unsent reports whether the hub may lack any of its work.
	Floor  causal.Seen
	Unsent bool
}

// OutOfOrderError says that a delta does not begin at the position that this site has of the sender.
// Either the delta is a repetition, or the sender is wrong about this site. Nothing was applied.
type OutOfOrderError struct {
	From causal.Position
	Have causal.Reached
}

// Error names both positions.
func (e *OutOfOrderError) Error() string {
	return fmt.Sprintf("delta begins at position %d, have %d", e.From, e.Have.Position)
}

// IdentityError says that a node sent work under another site's identity. Nothing was applied.
type IdentityError struct {
	Node, Claimed causal.Site
	Table         string
}

// Error names the node, the table and the claimed site.
func (e *IdentityError) Error() string {
	return fmt.Sprintf("site %d submitted a change of table %s under the identity of site %d", e.Node, e.Table, e.Claimed)
}
