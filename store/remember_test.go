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

func TestAShadowRowIsReadAsItWasWrittenWhetherOrNotItIsOnItsWay(t *testing.T) {
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
				row, _, sent, err := tx.ReadShadowAt(table, key)
				want, found := expected[k]
				if err != nil || sent.Found != found || row.Birth != want.Birth || found && sent.Position != want.Birth.Position {
					t.Fatalf("%v is %v (%v), want %v (%v): %v", k, row, sent, want, found, err)
				}
			}
			for _, name := range []string{"a", "b"} { // what an earlier case left
				if err := tx.C.Exec("DELETE FROM " + tx.Cat.ByName[name].Shadow); err != nil {
					return err
				}
			}
			some := rapid.Custom(func(t *rapid.T) of {
				return of{rapid.SampledFrom([]string{"a", "b", "b"}).Draw(t, "table"), rapid.IntRange(0, 40).Draw(t, "key")}
			})
			for range rapid.IntRange(1, 3).Draw(t, "runs") {
				err := tx.GatherShadows(rows.LeastInOrder, func() error {
					for range rapid.IntRange(0, 4*rows.WriteRun).Draw(t, "rows") {
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
				n, err := tx.C.Int("SELECT count(*) FROM " + tx.Cat.ByName[table].Shadow)
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
func TestShadowsAreReadAheadAsTheyWereWritten(t *testing.T) {
	c := newChain(t, "CREATE TABLE a(id INTEGER PRIMARY KEY, x); CREATE TABLE b(id TEXT PRIMARY KEY, x)", nil, "n")
	c.must(c.store("n").write(func(tx *rows.Tx) error {
		return tx.GatherShadows(rows.LeastInOrder, func() error {
			at := uint64(0)
			for _, name := range []string{"a", "b", "a"} {
				for _, number := range []int{1, 2, 3, 2, 9, 1, 9, 30, 31, 30} {
					table, key := shadowed(tx, name, number)
					before, sent, err := tx.ReadShadowNext(table, key)
					if err != nil {
						return err
					}
					want, _, is, err := tx.ReadShadowAt(table, key)
					if err != nil || sent != is || before.Birth != want.Birth {
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
