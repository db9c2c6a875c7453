package store

import (
	"errors"
	"slices"
	"strings"

	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

// What grows stale at this server because a trigger is not mirrored, and who is told.

const tryRebuild = "bring it up to date in the application; of an FTS index, with its 'rebuild' command"

// noMirror is a trigger that is not mirrored, and why.
type noMirror struct {
	schema.Trigger
	cause string
}

func (no noMirror) written() string {
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(no.Writes))), ", ")
}

// refuseMirrors is one refusal for all the triggers that write one thing and fail alike: an
// index has three or four.
func refuseMirrors(list []noMirror) (refused []schema.Refusal) {
	for len(list) > 0 {
		first, names, rest := list[0], []string{}, []noMirror{}
		for _, no := range list {
			if no.cause == first.cause && no.written() == first.written() {
				names = append(names, no.Name)
			} else {
				rest = append(rest, no)
			}
		}
		refused = append(refused, schema.Refusal{Table: first.written(), Try: tryRebuild,
			Reason: "what fills it " + first.cause + " (trigger " + strings.Join(names, ", ") + ")"})
		list = rest
	}
	return refused
}

// unmirrored says which indexes and tables of this file grow stale, and why.
func (s *Store) unmirrored() (refused []schema.Refusal, err error) {
	written := catalog{}
	s.writing.Lock()
	if s.writeCatalog != nil {
		written = *s.writeCatalog
		written.unmirrored = slices.Clone(written.unmirrored)
	}
	s.writing.Unlock()
	err = s.read(func(c *sqlite.Conn, _ *state, cat *catalog) error {
		if refused = written.unmirrored; written.version == cat.version && written.schemaVersion == cat.schemaVersion {
			return nil
		}
		// Nothing has been written under this schema yet: find out on a connection that only reads.
		refused, err = tryMirrors(c, cat)
		return err
	})
	return refused, err
}

// tryMirrors makes the mirrors and takes them back.
func tryMirrors(c *sqlite.Conn, cat *catalog) (refused []schema.Refusal, err error) {
	if err := c.SetTriggers(false); err != nil {
		return nil, err
	}
	if err := c.Exec("SAVEPOINT ravno_trial"); err != nil {
		return nil, errors.Join(err, c.SetTriggers(true))
	}
	refused, _, err = mirrorTriggers(c, cat)
	return refused, errors.Join(err, c.Exec("ROLLBACK TO ravno_trial"), c.Exec("RELEASE ravno_trial"), c.SetTriggers(true))
}

// StaleIndexes says which indexes and tables of a file would not be kept fresh by what comes
// from elsewhere, once its tables sync as settings say, and why. The file need not be
// enrolled, and nothing is written to it. A refusal's Table names what a trigger writes.
func StaleIndexes(path string, settings []Setting) (stale []Refusal, err error) {
	err = onFile(path, func(c *sqlite.Conn) error {
		read, err := schema.Read(c)
		if err != nil {
			return err
		}
		cat := &catalog{byName: map[string]*table{}}
		for _, t := range read.Tables {
			class := Synced
			for _, s := range settings {
				if strings.EqualFold(s.Table, t.Name) {
					class = s.Class
				}
			}
			if class != Local {
				entry := &table{Table: t, class: class}
				cat.tables = append(cat.tables, entry)
				cat.byName[strings.ToLower(t.Name)] = entry
			}
		}
		found, err := tryMirrors(c, cat)
		stale = refusals(found)
		return err
	})
	if err != nil {
		return nil, explain(path, err)
	}
	return stale, nil
}
