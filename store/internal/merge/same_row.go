package merge

import (
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
)

// sameRow sees to it that a change and the row it is about call that row's birth the same, where
// one side remembers the birth and the other has forgotten it, settled: there it is zero.
func (in *incoming) sameRow(m *merging) {
	in.sameVersions(m)
	tx, heard := in.tx, in.rekeying.Heard
	said, here := m.change.Birth, m.row.Birth
	switch {
	case !m.present:
		if m.author != 0 && m.change.Whole && (said.Site != m.author || said.Time <= heard && said.Time > catalog.FirstSeed) {
			m.madeAnew()
		}
	case said == here.Stamp:
	case said.IsZero() && m.author != 0: // its author has forgotten it; unless another has taken its place since
		if here.Position <= tx.State.Settled {
			m.change.Birth = here.Stamp
		}
	case said.IsZero(): // the hub has; unless the one here is made since, and the hub has yet to hear
		if !history.UnsentVersion(tx, here, in.delta.Seen) {
			m.change.Birth = here.Stamp
		}
	case !here.Stamp.IsZero(), m.author == 0: // a node forgets no birth that the hub still speaks of
	// what is new comes whole, and first from its maker
	case !m.change.Whole || said.Site != m.author || said.Time <= heard:
		if said.Site == m.author && said.Time > heard {
			m.remade = said // made anew there, and deleted before anybody heard of it
		}
		m.change.Birth = here.Stamp
	}
}

// sameVersions does so for the versions of columns: what is forgotten there and remembered here is
// the same, as long as what is remembered is settled.
func (in *incoming) sameVersions(m *merging) {
	tx := in.tx
	for i := range m.change.Registers {
		reg := &m.change.Registers[i]
		if !reg.Stamp.IsZero() {
			continue
		}
		here := m.row.Version(reg.Column)
		if m.author == 0 && !history.UnsentVersion(tx, here, in.delta.Seen) || m.author != 0 &&
			here.Position <= tx.State.Settled {
			reg.Stamp = here.Stamp
		}
	}
}

// madeAnew takes, at the hub, what a node says of a deleted row that it has brought back, by a
// decision on a conflict say, and of which nothing is remembered here any more: everybody has seen
// it go, so this is its author's word in all its columns.
func (m *merging) madeAnew() {
	m.change.Birth = hlc.Stamp{}
	own := hlc.Stamp{}
	for _, reg := range m.change.Registers {
		if reg.Stamp.Site == m.author && reg.Stamp.After(own) {
			own = reg.Stamp
		}
	}
	for i := range m.change.Registers {
		m.change.Registers[i].Stamp = own
	}
}
