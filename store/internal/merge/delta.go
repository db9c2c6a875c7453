package merge

import (
	"errors"
	"fmt"
	"io"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/history"
)

// Delta is everything of one site above a position, on its way in.
type Delta struct {
	history.Span
	// Open begins to read: next returns the sections one after the other and then io.EOF. A
	// delta may be read more than once.
	Open func() (next func() (*crdt.Section, error), err error)
}

// Each calls f with every section.
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

// Applied says what applying a delta did.
type Applied struct {
	Changes   int
	Conflicts int             // found or extended
	Position  causal.Position // of this site, after it
	// At a node, after it: the least hub position its unsent work may have seen, and whether there is
	// anything that the hub may not have.
	Floor  causal.Seen
	Unsent bool
}

// OutOfOrderError says that a delta does not begin where this site's knowledge ends: it is
// a repetition, or the sender is wrong about what we have. Nothing was applied.
type OutOfOrderError struct {
	From causal.Position
	Have causal.Reached
}

func (e *OutOfOrderError) Error() string {
	return fmt.Sprintf("delta begins at position %d, have %d", e.From, e.Have.Position)
}

// IdentityError says that a node submitted work under another site's identity.
type IdentityError struct {
	Node, Claimed causal.Site
	Table         string
}

func (e *IdentityError) Error() string {
	return fmt.Sprintf("site %d submitted a change of table %s under the identity of site %d", e.Node, e.Table, e.Claimed)
}
