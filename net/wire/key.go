package wire

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"ravno/crdt"
)

// The forms of a column of keys. Most tables are keyed by one integer or by one UUID
// written as text. Both are far smaller on the wire than the keys themselves.
const (
	keysRaw     = 0 // the bytes of each key
	keysInteger = 1 // single integers, each as the difference from the one before
	keysUUID    = 2 // single texts that are UUIDs in canonical lower case, as 16 bytes each
)

const (
	uuidSize     = 16
	uuidTextSize = 36
)

// anyColumns stands for "one column or more" where the number of a key's columns is not known.
const anyColumns = 0

// faultInKey describes the fault in a key of so many columns, or is empty. Package crdt sees to it that
// a key is the one way to write its values. Otherwise one row would pass for two.
func faultInKey(k crdt.Key, columns int) string {
	_, fault := openKey(k, columns)
	return fault
}

func openKey(k crdt.Key, columns int) (values []crdt.Value, fault string) {
	values, err := k.Values()
	switch {
	case err != nil:
		return nil, err.Error()
	case len(values) == 0:
		return nil, "a key without values"
	case columns != anyColumns && len(values) != columns:
		return nil, fmt.Sprintf("a key of %d values for %d key columns", len(values), columns)
	}
	return values, ""
}

// faultInNames describes the fault in the names of columns, or is empty.
func faultInNames(names []string) string {
	if len(names) > MaxColumns {
		return fmt.Sprintf("%d columns, at most %d are allowed", len(names), MaxColumns)
	}
	known := make(map[string]struct{}, len(names))
	for i, name := range names {
		if name == "" {
			return fmt.Sprintf("the name of column %d is empty", i)
		}
		if _, twice := known[name]; twice {
			return fmt.Sprintf("column %q is named twice", name)
		}
		known[name] = struct{}{}
	}
	return ""
}

// keys writes a column of n keys in the smallest form that all of them have.
func (e *encoder) keys(n int, key func(i int) crdt.Key, columns int) {
	single := make([]crdt.Value, n) // the first value of each key
	form := keysRaw
	for i := range n {
		values, fault := openKey(key(i), columns)
		if fault != "" {
			e.keep(fmt.Errorf("%w: key %x: %s", ErrInvalid, key(i), fault))
			return
		}
		single[i] = values[0]
		switch own := keyForm(values); {
		case i == 0:
			form = own
		case own != form:
			form = keysRaw
		}
	}
	e.uint(uint64(form))
	switch form {
	case keysInteger:
		previous := int64(0)
		for _, v := range single {
			e.int(v.Int() - previous) // wraps, as the addition at the other end does
			previous = v.Int()
		}
	case keysUUID:
		packed := make([]byte, 0, n*uuidSize)
		for _, v := range single {
			id, err := uuid.Parse(v.Bytes())
			e.keep(err)
			packed = append(packed, id[:]...)
		}
		e.bytes(packed)
	default:
		for i := range n {
			e.data(string(key(i)))
		}
	}
}

func keyForm(values []crdt.Value) int {
	if len(values) != 1 {
		return keysRaw
	}
	switch v := values[0]; v.Kind() {
	case crdt.Integer:
		return keysInteger
	case crdt.Text:
		if isCanonicalUUID(v.Bytes()) {
			return keysUUID
		}
	case crdt.Null, crdt.Real, crdt.Blob:
	}
	return keysRaw
}

func isCanonicalUUID(s string) bool {
	if len(s) != uuidTextSize || strings.ContainsAny(s, "ABCDEF") {
		return false
	}
	_, err := uuid.Parse(s)
	return err == nil
}

// keys reads a column of n keys of so many columns each.
func (d *decoder) keys(what string, n, columns int, set func(i int, k crdt.Key)) {
	form := d.upTo(what, keysUUID)
	if form != keysRaw && columns > 1 {
		d.fail(what, "form %d for keys of %d columns", form, columns)
	}
	if d.err != nil {
		return
	}
	switch form {
	case keysInteger:
		value := int64(0)
		for i := 0; i < n && d.err == nil; i++ {
			value += d.int(what)
			set(i, crdt.NewKey(crdt.IntegerValue(value)))
		}
	case keysUUID:
		packed := d.bytes(what)
		if len(packed) != n*uuidSize {
			d.fail(what, "%d bytes for %d UUIDs", len(packed), n)
			return
		}
		for i := range n {
			id := uuid.UUID(packed[i*uuidSize : (i+1)*uuidSize])
			set(i, crdt.NewKey(crdt.TextValue(id.String())))
		}
	default:
		for i := 0; i < n && d.err == nil; i++ {
			k := crdt.Key(d.bytes(what))
			if d.err != nil {
				return
			}
			if fault := faultInKey(k, columns); fault != "" {
				d.fail(what, "%s", fault)
				return
			}
			set(i, k)
		}
	}
}
