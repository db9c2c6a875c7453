package rows

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/journal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/sqlite"
)

// mirrorFailed is the event of a mirror that failed while rows were applied.
const mirrorFailed journal.Kind = "mirror_failed"

// Put runs a statement that writes rows of a table, and the mirrors of its triggers. A row
// others have accepted is not held up by an index of this file: mirrors that fail are
// switched off for this table until the schema changes, and the journal says so.
func (tx *Tx) Put(t *catalog.Table, sql string, args ...crdt.Value) error {
	err := tx.SQL.Exec(sql, args...)
	if err == nil || !t.Mirrored || sqlite.IsOfFile(err) {
		return err
	}
	closed, failed := tx.SQL.Int("SELECT count(*) FROM temp."+catalog.MirrorsOff+" WHERE tab=?",
		catalog.Text(strings.ToLower(t.Name)))
	if failed != nil || closed > 0 {
		return errors.Join(err, failed)
	}
	reason := cmp.Or(errors.Unwrap(err), err)
	args = slices.Clone(args) // whose memory may be used for what comes now
	if err := tx.stopMirrors(t, reason.Error()); err != nil {
		return err
	}
	if own := tx.SQL.Exec(sql, args...); own != nil { // it is the row that does not fit
		return errors.Join(own, tx.SQL.Exec("DELETE FROM temp."+catalog.MirrorsOff+" WHERE tab=?",
			catalog.Text(strings.ToLower(t.Name))))
	}
	tx.Cat.Unmirrored = append(tx.Cat.Unmirrored, catalog.FailedMirror(t.Name, reason.Error()))
	return tx.Record(journal.Event{Kind: mirrorFailed, Server: tx.SiteName(tx.State.Site),
		Text: fmt.Sprintf("what triggers of %s write is not kept fresh any more: %v. Try: %s", t.Name, reason,
			catalog.TryRebuild)})
}

// stopMirrors switches the mirrors of a table off.
func (tx *Tx) stopMirrors(t *catalog.Table, reason string) error {
	if !t.Mirrored {
		return nil
	}
	return tx.SQL.Exec("INSERT OR REPLACE INTO temp."+catalog.MirrorsOff+
		" SELECT ?, schema_version, ? FROM pragma_schema_version",
		catalog.Text(strings.ToLower(t.Name)), catalog.Text(reason))
}
