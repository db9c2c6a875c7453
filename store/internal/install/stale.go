package install

import (
	"errors"
	"slices"
	"strings"

	"ravno/store/internal/catalog"
	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

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
		refused = append(refused, schema.Refusal{Table: first.written(), Try: catalog.TryRebuild,
			Reason: "what fills it " + first.cause + " (trigger " + strings.Join(names, ", ") + ")"})
		list = rest
	}
	return refused
}

// TryMirrors makes the mirrors and takes them back.
func TryMirrors(c *sqlite.Conn, cat *catalog.Catalog) (refused []schema.Refusal, err error) {
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
func StaleIndexes(path string, settings []catalog.Setting) (stale []Refusal, err error) {
	err = sqlite.With(path, func(c *sqlite.Conn) error {
		read, err := schema.Read(c)
		if err != nil {
			return err
		}
		cat := &catalog.Catalog{ByName: map[string]*catalog.Table{}}
		for _, t := range read.Tables {
			class := catalog.Synced
			for _, s := range settings {
				if strings.EqualFold(s.Table, t.Name) {
					class = s.Class
				}
			}
			if class != catalog.Local {
				entry := &catalog.Table{Table: t, Class: class}
				cat.Tables = append(cat.Tables, entry)
				cat.ByName[strings.ToLower(t.Name)] = entry
			}
		}
		found, err := TryMirrors(c, cat)
		stale = Refusals(found)
		return err
	})
	if err != nil {
		return nil, sqlite.Explain(path, err)
	}
	return stale, nil
}
