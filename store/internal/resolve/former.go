package resolve

import (
	"slices"

	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
)

// noteFormer records, at the hub, the former unique values of a row that a decision changes.
func (d *decision) noteFormer(r *decided) error {
	if !d.tx.State.IsHub() || !slices.ContainsFunc(
		r.t.Down, func(l *catalog.ForeignKey) bool { return !l.ByKey() && r.changed(l.Refers) }) {
		return nil
	}
	return history.NoteFormer(d.tx, r.t, r.key, r.before, d.tx.State.Site)
}
