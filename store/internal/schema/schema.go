// Package schema reads what an application's tables are: their columns, keys, unique
// indexes and foreign keys, which tables can be captured and which cannot, and why. It
// also says when two stored keys are one row: the canonical key, which folds exactly what
// SQLite's comparison folds (https://sqlite.org/datatype3.html, sections 3, 4 and 7).
//
// It refuses to know stamps, logs, triggers and other sites, and it never writes: whether
// SQLite can write a table is found out by compiling statements that are never run.
package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"ravno/store/internal/sqlite"
)

// MaxKeyColumns bounds the columns of a key. The log is as wide as the widest key, and no
// schema met in practice has more than six key columns.
const MaxKeyColumns = 16

// Schema is what the file's tables are at one moment. It is never changed after Read, so
// any number of goroutines may read it.
type Schema struct {
	Tables  []*Table  // those that can be captured, sorted by name
	Refused []Refusal // those that cannot, sorted by name
	Ignored []Ignored // what is not the application's ordinary data, sorted by name
	Own     []*Table  // those of ravno's own that were asked for, in that order
}

// Table finds a table by name as SQLite does, without regard to ASCII case; nil if there
// is none that can be captured.
func (s *Schema) Table(name string) *Table {
	for _, t := range s.Tables {
		if sameName(t.Name, name) {
			return t
		}
	}
	return nil
}

// Refusal is a table that cannot be captured, why, and the way out.
type Refusal struct{ Table, Reason, Try string }

// Ignored is something in the file that holds no data of its own to capture: a view, a
// virtual table, or an ordinary table in which a virtual table keeps its index.
type Ignored struct{ Name, Reason string }

// Table is one table that can be captured.
type Table struct {
	NullKey       *Refusal // why the table should be refused: rows with a NULL in the key; nil if there are none
	Name          string
	Columns       []Column // stored columns in declared order; generated ones are not among them
	Generated     []string // names of generated columns, which nobody can write
	Key           []int    // indexes into Columns, in the order of the key
	RowidKey      bool     // the key is one INTEGER PRIMARY KEY: an alias of the rowid
	WithoutRowid  bool
	Autoincrement bool
	Strict        bool
	Unique        []UniqueIndex // besides the key, sorted by name
	ForeignKeys   []ForeignKey  // in declared order
	SQL           string        // the CREATE TABLE statement as the file keeps it
}

// Column is one stored column.
type Column struct {
	Name       string
	Type       string // as declared; may be empty
	Affinity   Affinity
	Collation  string // BINARY if none is declared; of a key column, that of the key's index
	NotNull    bool
	Default    string // the expression, as SQL text
	HasDefault bool
	InKey      bool
	// Register is whether the column's stored bytes must be kept beside the canonical key:
	// true outside the key, and in it where one key has several spellings ('abc' and 'ABC'
	// under NOCASE, 1 and 1.0 in a column without affinity).
	Register bool
}

// UniqueIndex is a UNIQUE constraint or index besides the key.
type UniqueIndex struct {
	Name  string
	Parts []IndexPart
	Where string // predicate of a partial index, as SQL text; empty if it covers every row
}

// IndexPart is one column or expression of an index.
type IndexPart struct {
	Column    int    // index into Table.Columns, or -1 for an expression
	Expr      string // SQL text if Column is -1; a generated column is an expression here
	Collation string
}

// ForeignKey is a reference to a row of another table, or of the same one.
type ForeignKey struct {
	Parent             string   // the table's own spelling if it exists, else as declared
	Columns            []string // of this table
	ParentColumns      []string // the parent's primary key where none are declared; nil if the parent is missing
	OnDelete, OnUpdate string   // NO ACTION, RESTRICT, SET NULL, SET DEFAULT or CASCADE
}

// DefaultSQL is the default as an expression that can stand anywhere. SQLite takes a bare
// or double-quoted name after DEFAULT for a string, which elsewhere it would take for a
// column.
func (c Column) DefaultSQL() string {
	if all := tokens(c.Default); len(all) == 1 {
		switch {
		case all[0].is("TRUE"): // SQLite before 3.23 knows neither word
			return "1"
		case all[0].is("FALSE"):
			return "0"
		case isName(all[0]):
			return sqlite.Literal(all[0].name())
		}
	}
	return "(" + c.Default + ")"
}

// KeyColumns are the names of the key's columns, in the order of the key.
func (t *Table) KeyColumns() []string {
	names := make([]string, len(t.Key))
	for i, c := range t.Key {
		names[i] = t.Columns[c].Name
	}
	return names
}

// Column finds a stored column by name as SQLite does, without regard to ASCII case; -1
// if there is none.
func (t *Table) Column(name string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return sameName(c.Name, name) })
}

// fingerprintBytes is how much of the hash is shown: 64 bits tell apart the handful of
// versions one table ever has.
const fingerprintBytes = 8

// Fingerprint is a short hex hash of the names, types and collations of the columns and of
// the key. Columns in another order give the same one: columns travel by name.
func (t *Table) Fingerprint() string {
	lines := make([]string, 0, len(t.Columns))
	for i, c := range t.Columns {
		lines = append(lines, fmt.Sprintf("%q %q %s %d",
			c.Name, strings.ToUpper(c.Type), c.Collation, slices.Index(t.Key, i)))
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(fmt.Sprintf("%q\n%s", t.Name, strings.Join(lines, "\n"))))
	return hex.EncodeToString(sum[:fingerprintBytes])
}

// sameName compares identifiers as SQLite does: ASCII letters without case, every other
// byte exactly.
func sameName(a, b string) bool { return LowerASCII(a) == LowerASCII(b) }

// LowerASCII turns A to Z into lower case and leaves every other byte alone.
func LowerASCII(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			folded := []byte(s)
			for ; i < len(folded); i++ {
				if 'A' <= folded[i] && folded[i] <= 'Z' {
					folded[i] += 'a' - 'A'
				}
			}
			return string(folded)
		}
	}
	return s
}

// upperASCII turns a to z into upper case and leaves every other byte alone.
func upperASCII(s string) string {
	upper := []byte(s)
	for i, b := range upper {
		if 'a' <= b && b <= 'z' {
			upper[i] -= 'a' - 'A'
		}
	}
	return string(upper)
}
