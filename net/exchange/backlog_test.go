package exchange

import (
	"testing"

	"ravno/store"
)

// The session goes on after a batch as long as there may be more: also where one snapshot was not
// enough for what there is to send.
func TestBatchSaysWhetherMoreFollows(t *testing.T) {
	for name, c := range map[string]struct {
		batch outgoing
		more  bool
	}{
		"all there is":             {outgoing{first: true, last: true}, false},
		"the first of several":     {outgoing{first: true}, true},
		"the last of several":      {outgoing{last: true}, true}, // the peer may have less by now
		"what one snapshot showed": {outgoing{first: true, last: true, span: store.Span{From: 1, To: 5, Until: 9}}, true},
	} {
		if got := c.batch.hasMore(); got != c.more {
			t.Errorf("%s: %v", name, got)
		}
	}
}
