package catalog

import (
	"encoding/hex"
	"fmt"
	"strings"

	"ravno/crdt"
)

func (cat *Catalog) NameHex(table, key string) ([]Named, error) {
	raw, err := hex.DecodeString(key)
	if err != nil {
		return nil, fmt.Errorf("a key of table %s: %w", table, err)
	}
	return cat.NameKey(table, crdt.Key(raw)), nil
}

// RowName is the unambiguous name of a row: TABLE[KEY].
func RowName(table string, key []Named) string {
	var values []string
	for _, k := range key {
		values = append(values, k.Value.String())
	}
	return table + "[" + strings.Join(values, ",") + "]"
}

func (cat *Catalog) NameKey(table string, key crdt.Key) []Named {
	t := cat.ByName[strings.ToLower(table)]
	if t == nil {
		return nil
	}
	named, err := t.NamedKey(key)
	if err != nil {
		return nil
	}
	return named
}

func (t *Table) NamedKey(key crdt.Key) ([]Named, error) {
	values, err := key.Values()
	if err != nil {
		return nil, err
	}
	var named []Named
	for i, v := range values {
		if i < len(t.Key) {
			named = append(named, Named{Name: t.Columns[t.Key[i]].Name, Value: v})
		}
	}
	return named, nil
}

// NamedRow are the known values of a row, in the order of its columns.
func (t *Table) NamedRow(m *Values) []Named {
	var row []Named
	for i, number := range t.Numbers {
		if v, known := m.Get(crdt.Column(number)); known {
			row = append(row, Named{Name: t.Columns[i].Name, Value: v})
		}
	}
	return row
}

// Named is a value with its column.
type Named struct {
	Name  string
	Value crdt.Value
}
