package store

import (
	"fmt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"testing"

	"pgregory.net/rapid"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/crdt/hlc"
)

// inOrder is how many rows are gone through in order: enough for some to be read ahead.
const inOrder = 16

// A shadow row is read as it was written whether or not it is on its way.
func TestShadowReadAsWritten(t *testing.T) {
	c := newChain(t, "CREATE TABLE a(id INTEGER PRIMARY KEY, x); CREATE TABLE b(id TEXT PRIMARY KEY, x)", nil, "n")
	rapid.Check(t, func(t *rapid.T) {
		type of struct {
			table string
			key   int
		}
		expected := map[of]crdt.Row{}
		err := c.store("n").write(func(tx *rows.Tx) error {
			look := func(k of) {
				table, key := shadowed(tx, k.table, k.key)
				row, err := tx.ReadShadow(table, key)
				want, found := expected[k]
				if err != nil || row.Found != found || row.Birth != want.Birth || found && row.Position != want.Birth.Position {
					t.Fatalf("%v is %v (%v), want %v (%v): %v", k, row, row.Found, want, found, err)
				}
			}
			for _, name := range []string{"a", "b"} { // what an earlier case left
				if err := tx.SQL.Exec("DELETE FROM " + tx.Cat.ByName[name].Shadow); err != nil {
					return err
				}
			}
			some := rapid.Custom(func(t *rapid.T) of {
				return of{rapid.SampledFrom([]string{"a", "b", "b"}).Draw(t, "table"), rapid.IntRange(0, 40).Draw(t, "key")}
			})
			for range rapid.IntRange(1, 3).Draw(t, "runs") {
				err := tx.Gather(inOrder, func() error {
					for range rapid.IntRange(0, 64).Draw(t, "rows") {
						k := some.Draw(t, "row")
						if rapid.IntRange(0, 9).Draw(t, "look") == 0 {
							look(k)
							continue
						}
						at := rapid.Uint32().Draw(t, "at")
						row := crdt.Row{Birth: crdt.Version{Stamp: hlc.Stamp{Time: hlc.Time(at), Site: 2}, Position: causal.Position(at)}}
						table, key := shadowed(tx, k.table, k.key)
						if err := tx.WriteShadow(table, key, row, catalog.Reference{}, causal.Position(at)); err != nil {
							return err
						}
						expected[k] = row
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
			for _, table := range []string{"a", "b"} {
				for key := range 41 {
					look(of{table, key})
				}
				n, err := tx.SQL.Int("SELECT count(*) FROM " + tx.Cat.ByName[table].Shadow)
				for k := range expected {
					if k.table == table {
						n--
					}
				}
				if err != nil || n != 0 {
					t.Fatalf("table %s has %d shadow rows too many: %v", table, n, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// A section may have one row twice, and not in the order of the keys: then what was written of it
// just now is what it is.
func TestShadowReadAheadAsWritten(t *testing.T) {
	c := newChain(t, "CREATE TABLE a(id INTEGER PRIMARY KEY, x); CREATE TABLE b(id TEXT PRIMARY KEY, x)", nil, "n")
	c.must(c.store("n").write(func(tx *rows.Tx) error {
		return tx.Gather(inOrder, func() error {
			at := uint64(0)
			for _, name := range []string{"a", "b", "a"} {
				for _, number := range []int{1, 2, 3, 2, 9, 1, 9, 30, 31, 30} {
					table, key := shadowed(tx, name, number)
					before, err := tx.ReadShadowNext(table, key)
					if err != nil {
						return err
					}
					want, err := tx.ReadShadow(table, key)
					if err != nil || before.Found != want.Found || before.Position != want.Position || before.Birth != want.Birth {
						t.Fatalf("%s %d is read as %v, and is %v: %v", name, number, before, want, err)
					}
					at++
					row := crdt.Row{Birth: crdt.Version{Stamp: hlc.Stamp{Time: hlc.Time(at), Site: 2}, Position: causal.Position(at)}}
					if err := tx.WriteShadow(table, key, row, catalog.Reference{}, causal.Position(at)); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}))
}

// shadowed is a row of a table by its number.
func shadowed(tx *rows.Tx, name string, number int) (*catalog.Table, crdt.Key) {
	t := tx.Cat.ByName[name]
	if t.RowidKey {
		return t, crdt.NewKey(catalog.Integer(number))
	}
	return t, crdt.NewKey(catalog.Text(fmt.Sprint(number)))
}
