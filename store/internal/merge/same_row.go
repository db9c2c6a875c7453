package merge

import (
	"ravno/crdt/hlc"
	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
)

// sameRow gives a change and its row the same birth, where one side has forgotten a stable birth. A
// forgotten birth is zero. It does the same for the versions of columns.
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
	case said.IsZero() && m.author != 0: // The author forgot a stable birth. A newer birth here is another row.
		if here.Position <= tx.State.Settled {
			m.change.Birth = here.Stamp
		}
	case said.IsZero(): // The hub forgot the birth. A row made here since then is another row.
		if !history.UnsentVersion(tx, here, in.delta.Seen) {
			m.change.Birth = here.Stamp
		}
	case !here.Stamp.IsZero(), m.author == 0: // A node never forgets a birth that the hub still sends.
	// A new row comes whole, and first from its maker.
	case !m.change.Whole || said.Site != m.author || said.Time <= heard:
		if said.Site == m.author && said.Time > heard {
			m.remade = said // The author made the row anew and deleted it before the hub heard of it.
		}
		m.change.Birth = here.Stamp
	}
}

// sameVersions does the same for the versions of columns. A forgotten version equals the remembered
// one, as long as the remembered one is stable.
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

// madeAnew prepares, at the hub, a deleted row that a node brought back, by a decision on a conflict
// for example. The hub has forgotten the row, because every site had seen its deletion. So all its
// columns get the author's newest stamp, and its birth becomes zero.
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
