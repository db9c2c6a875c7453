package catalog

import "ravno/store/internal/schema"

// MirrorsOff names the tables whose mirrors have failed on this connection, and as of which
// version of the schema; a mirror of a table that is in it does nothing. It is a table and
// not a flag, so that it goes back with the transaction that wrote it.
const MirrorsOff = "ravno_mirrors_off"

// FailedMirror says that what the triggers of a table write grows stale.
func FailedMirror(table, reason string) schema.Refusal {
	return schema.Refusal{Table: "that triggers of " + table + " write", Reason: reason, Try: TryRebuild}
}

// What grows stale at this server because a trigger is not mirrored, and who is told.

// TryRebuild is what to try then.
const TryRebuild = "bring it up to date in the application; of an FTS index, with its 'rebuild' command"
