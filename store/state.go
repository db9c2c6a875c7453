package store

import (
	"fmt"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/sqlite"
)

// Format is the version of ravno's own tables, written by this program.
const Format = 4

// State is the one row of ravno_state that moves with every commit. It is read at the
// start of each transaction and written at its end, never kept in between: commands write
// the same file while the daemon runs.
type state struct {
	site           causal.Site
	incarnation    causal.Incarnation
	position       causal.Position
	clock          hlc.Clock
	folded         int64
	catalog        int64
	hubIncarnation causal.Incarnation
	seen           causal.Seen
	hubHave        causal.Position
	floor          causal.Seen
	hasFloor       bool
	clockOffset    int64 // ms to add to our clock to get the hub's
	lastTransfer   int64 // Unix ms
	settling
}

func (s *state) isHub() bool { return s.site == causal.Hub }

const stateColumns = `site, incarnation, position, clock, folded, catalog, hub_incarnation, seen, hub_have, seen_floor,
	clock_offset, last_transfer, format, until, mark_seen, mark, settled_own, checkpoint, settled_at, settled`

func readState(c *sqlite.Conn) (*state, error) {
	row, err := c.Row("SELECT " + stateColumns + " FROM ravno_state")
	if err != nil {
		return nil, err
	}
	if row == nil {
		return nil, fmt.Errorf("%s: ravno_state is empty: the database is not enrolled", c.Path())
	}
	if format := row[12].Int(); format != Format {
		return nil, fmt.Errorf("%s: written by ravno with table format %d, this ravno knows %d. Try: the newer ravno", c.Path(), format, Format)
	}
	s := &state{
		site:         causal.Site(row[0].Int()),
		position:     causal.Position(row[2].Int()),
		clock:        hlc.NewClock(hlc.Time(row[3].Int())),
		folded:       row[4].Int(),
		catalog:      row[5].Int(),
		seen:         causal.Seen(row[7].Int()),
		hubHave:      causal.Position(row[8].Int()),
		floor:        causal.Seen(row[9].Int()),
		hasFloor:     row[9].Kind() == crdt.Integer,
		clockOffset:  row[10].Int(),
		lastTransfer: row[11].Int(),
		settling: settling{
			until:      causal.Position(row[13].Int()),
			markSeen:   causal.Position(row[14].Int()),
			mark:       causal.Position(row[15].Int()),
			settledOwn: causal.Position(row[16].Int()),
			checkpoint: causal.Position(row[17].Int()),
			settledAt:  causal.Position(row[18].Int()),
			settled:    causal.Position(row[19].Int()),
		},
	}
	copy(s.incarnation[:], row[1].Bytes())
	copy(s.hubIncarnation[:], row[6].Bytes())
	return s, nil
}

func (s *state) write(c *sqlite.Conn) error {
	floor := crdt.Value{}
	if s.hasFloor {
		floor = integer(s.floor)
	}
	return c.Exec(`UPDATE ravno_state SET position=?, clock=?, folded=?, catalog=?, hub_incarnation=?, seen=?, hub_have=?,
		seen_floor=?, clock_offset=?, last_transfer=?, until=?, mark_seen=?, mark=?, settled_own=?, checkpoint=?,
		settled_at=?, settled=?`,
		integer(s.position), integer(s.clock.Last()), integer(s.folded), integer(s.catalog),
		crdt.BlobValue(string(s.hubIncarnation[:])), integer(s.seen), integer(s.hubHave), floor,
		integer(s.clockOffset), integer(s.lastTransfer), integer(s.until), integer(s.markSeen), integer(s.mark), integer(s.settledOwn),
		integer(s.checkpoint), integer(s.settledAt), integer(s.settled))
}

// Floor is the least hub position that work not yet at the hub may have seen.
func (s *state) seenFloor() causal.Seen {
	if s.hasFloor {
		return s.floor
	}
	return s.seen
}

func integer[T ~int | ~int64 | ~uint64 | ~uint32](n T) crdt.Value { return crdt.IntegerValue(int64(n)) }

func text(s string) crdt.Value { return crdt.TextValue(s) }

func blob[T ~string](b T) crdt.Value { return crdt.BlobValue(string(b)) }

func boolean(b bool) crdt.Value {
	if b {
		return crdt.IntegerValue(1)
	}
	return crdt.IntegerValue(0)
}
