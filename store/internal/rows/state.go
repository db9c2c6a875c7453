package rows

import (
	"fmt"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/sqlite"
)

// HoldFloor keeps in mind, at a node, that there is work the hub does not have yet, and what it
// has seen at least.
func (tx *Tx) HoldFloor() {
	if !tx.State.IsHub() && !tx.State.HasFloor {
		tx.State.Floor, tx.State.HasFloor = tx.State.Seen, true
	}
}

// What is settled need not be remembered. A version is settled when every server has it and
// nobody can send anything more that was written without having seen it: then every write to
// come is newer than it, and nobody has to be told which row it is about.
//
// The hub takes a checkpoint: its position, and of each node's work what it has by then. Once
// every node has seen that, in work it may still send too (its floor), what the hub had at the
// checkpoint is settled. What came in between and had not seen it may still be news to some, so
// the hub says with it where it was when it knew: a node forgets nothing before it is there too.
// Each finds out which positions of its own are settled. Cf. causal stability in Baquero, Almeida
// and Shoker 2014, "Making operation-based CRDTs operation-based".

// State is the one row of ravno_state that moves with every commit. It is read at the
// start of each transaction and written at its end, never kept in between: commands write
// the same file while the daemon runs.
type State struct {
	Site           causal.Site
	Incarnation    causal.Incarnation
	Position       causal.Position
	Clock          hlc.Clock
	Folded         int64
	Catalog        int64
	HubIncarnation causal.Incarnation
	Seen           causal.Seen
	HubHave        causal.Position
	Floor          causal.Seen
	HasFloor       bool
	ClockOffset    int64 // ms to add to our clock to get the hub's
	LastTransfer   int64 // Unix ms

	// How far the settling has come; see layout.sql.
	Until, MarkSeen, Mark, SettledOwn causal.Position // at a node
	Checkpoint, SettledAt, Settled    causal.Position
}

func (s *State) IsHub() bool { return s.Site == causal.Hub }

const stateColumns = `site, incarnation, position, clock, folded, catalog, hub_incarnation, seen, hub_have, seen_floor,
	clock_offset, last_transfer, format, until, mark_seen, mark, settled_own, checkpoint, settled_at, settled`

func ReadState(c *sqlite.Conn) (*State, error) {
	row, err := c.Row("SELECT " + stateColumns + " FROM ravno_state")
	if err != nil {
		return nil, err
	}
	if row == nil {
		return nil, fmt.Errorf("%s: ravno_state is empty: the database is not enrolled", c.Path())
	}
	if format := row[12].Int(); format != catalog.Format {
		return nil, fmt.Errorf("%s: written by ravno with table format %d, this ravno knows %d. Try: the newer ravno",
			c.Path(), format, catalog.Format)
	}
	s := &State{
		Site:         causal.Site(row[0].Int()),
		Position:     causal.Position(row[2].Int()),
		Clock:        hlc.NewClock(hlc.Time(row[3].Int())),
		Folded:       row[4].Int(),
		Catalog:      row[5].Int(),
		Seen:         causal.Seen(row[7].Int()),
		HubHave:      causal.Position(row[8].Int()),
		Floor:        causal.Seen(row[9].Int()),
		HasFloor:     row[9].Kind() == crdt.Integer,
		ClockOffset:  row[10].Int(),
		LastTransfer: row[11].Int(),
		Until:        causal.Position(row[13].Int()),
		MarkSeen:     causal.Position(row[14].Int()),
		Mark:         causal.Position(row[15].Int()),
		SettledOwn:   causal.Position(row[16].Int()),
		Checkpoint:   causal.Position(row[17].Int()),
		SettledAt:    causal.Position(row[18].Int()),
		Settled:      causal.Position(row[19].Int()),
	}
	copy(s.Incarnation[:], row[1].Bytes())
	copy(s.HubIncarnation[:], row[6].Bytes())
	return s, nil
}

func (s *State) Write(c *sqlite.Conn) error {
	floor := crdt.Value{}
	if s.HasFloor {
		floor = catalog.Integer(s.Floor)
	}
	return c.Exec(`UPDATE ravno_state SET position=?, clock=?, folded=?, catalog=?, hub_incarnation=?, seen=?, hub_have=?,
		seen_floor=?, clock_offset=?, last_transfer=?, until=?, mark_seen=?, mark=?, settled_own=?, checkpoint=?,
		settled_at=?, settled=?`,
		catalog.Integer(s.Position), catalog.Integer(s.Clock.Last()), catalog.Integer(s.Folded), catalog.Integer(s.Catalog),
		crdt.BlobValue(string(s.HubIncarnation[:])), catalog.Integer(s.Seen), catalog.Integer(s.HubHave), floor,
		catalog.Integer(s.ClockOffset), catalog.Integer(s.LastTransfer), catalog.Integer(s.Until),
		catalog.Integer(s.MarkSeen), catalog.Integer(s.Mark), catalog.Integer(s.SettledOwn),
		catalog.Integer(s.Checkpoint), catalog.Integer(s.SettledAt), catalog.Integer(s.Settled))
}
