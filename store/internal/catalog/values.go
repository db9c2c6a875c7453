package catalog

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"math"
	"slices"

	"ravno/crdt"
)

func EncodeValue(v crdt.Value) string { return hex.EncodeToString([]byte(crdt.NewKey(v))) }

func DecodeValue(s string) (crdt.Value, error) {
	b, err := hex.DecodeString(s)
	if err != nil {
		return crdt.Value{}, err
	}
	values, err := crdt.Key(b).Values()
	if err != nil || len(values) != 1 {
		return crdt.Value{}, fmt.Errorf("malformed value in a conflict: %v", err)
	}
	return values[0], nil
}

// Values is the values of a row, by column number. A column that is missing is not known. A nil
// image is of no row at all.
type Values struct {
	Cells []columnValue // by column, ascending: a row has few columns, and a map costs more than its search
}

// columnValue is the value of one column.
type columnValue struct {
	column crdt.Column
	value  crdt.Value
}

// NewValues is an image with nothing in it yet, and with room for so many columns.
func NewValues(columns int) *Values { return &Values{Cells: make([]columnValue, 0, columns)} }

// find is where a column is among the cells, or belongs.
func (m *Values) find(column crdt.Column) (at int, known bool) {
	if m == nil {
		return 0, false
	}
	last := len(m.Cells) - 1
	if last < 0 || m.Cells[last].column < column {
		return last + 1, false // as when the columns of a table are taken in one after the other
	}
	if likely := int(column) - int(m.Cells[0].column); likely >= 0 && likely <= last && m.Cells[likely].column == column {
		return likely, true // as in every whole row of a table that has lost no columns
	}
	return slices.BinarySearchFunc(m.Cells, column,
		func(c columnValue, column crdt.Column) int { return cmp.Compare(c.column, column) })
}

// Get is the value of a column, where it is known.
func (m *Values) Get(column crdt.Column) (v crdt.Value, known bool) {
	at, known := m.find(column)
	if !known {
		return crdt.Value{}, false
	}
	return m.Cells[at].value, true
}

// Value is the value of a column; of one that is not known, NULL.
func (m *Values) Value(column crdt.Column) crdt.Value {
	v, _ := m.Get(column)
	return v
}

func (m *Values) Set(column crdt.Column, v crdt.Value) {
	switch at, known := m.find(column); {
	case known:
		m.Cells[at].value = v
	case at == len(m.Cells):
		m.Cells = append(m.Cells, columnValue{column, v})
	default:
		m.Cells = slices.Insert(m.Cells, at, columnValue{column, v})
	}
}

func (m *Values) Forget(column crdt.Column) {
	if at, known := m.find(column); known {
		m.Cells = slices.Delete(m.Cells, at, at+1)
	}
}

// Size is how many columns are known.
func (m *Values) Size() int {
	if m == nil {
		return 0
	}
	return len(m.Cells)
}

// All are the columns that are known with their values, in the order of the columns.
func (m *Values) All() iter.Seq2[crdt.Column, crdt.Value] {
	return func(yield func(crdt.Column, crdt.Value) bool) {
		if m == nil {
			return
		}
		for _, c := range m.Cells {
			if !yield(c.column, c.value) {
				return
			}
		}
	}
}

// Columns are those that are known.
func (m *Values) Columns() []crdt.Column {
	columns := make([]crdt.Column, m.Size())
	for i := range columns {
		columns[i] = m.Cells[i].column
	}
	return columns
}

// Clone is a copy; of nil, nil.
func (m *Values) Clone() *Values {
	if m == nil {
		return nil
	}
	return &Values{Cells: slices.Clone(m.Cells)}
}

// Encode packs an image: per column its number as an unsigned varint, then the length and
// bytes of its value in key encoding.
func (m *Values) Encode() crdt.Value {
	var b []byte
	for column, v := range m.All() {
		b = binary.AppendUvarint(b, uint64(column))
		value := crdt.NewKey(v)
		b = binary.AppendUvarint(b, uint64(len(value)))
		b = append(b, value...)
	}
	return crdt.BlobValue(string(b))
}

// DecodeValues unpacks what Encode has packed.
func DecodeValues(v crdt.Value) (*Values, error) {
	b := []byte(v.Bytes())
	m := NewValues(0)
	for len(b) > 0 {
		column, used := binary.Uvarint(b)
		if used <= 0 || column > math.MaxUint16 {
			return nil, fmt.Errorf("malformed values of a row")
		}
		b = b[used:]
		size, used := binary.Uvarint(b)
		if used <= 0 || size > uint64(len(b)-used) {
			return nil, fmt.Errorf("malformed values of a row")
		}
		values, err := crdt.Key(b[used : used+int(size)]).Values()
		if err != nil || len(values) != 1 {
			return nil, fmt.Errorf("malformed values of a row: %v", err)
		}
		m.Set(crdt.Column(column), values[0])
		b = b[used+int(size):]
	}
	return m, nil
}

// Whereabouts says where the values of a row are. It is stored as it stands here.
type Whereabouts string

const (
	Nowhere    Whereabouts = ""
	InTable    Whereabouts = "table"
	Held       Whereabouts = "held"       // outside its table: live, but a constraint keeps it out
	Incomplete Whereabouts = "incomplete" // outside its table: live, but some values are still to come
	Tombstone  Whereabouts = "tombstone"  // outside its table: deleted, and kept in case an edit was newer
)
