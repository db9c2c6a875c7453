package main

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"ravno/crdt"
	"ravno/store"
)

func TestValueKeepsClassAndBytesInJSON(t *testing.T) {
	for _, c := range []struct {
		value crdt.Value
		want  string
	}{
		{crdt.Value{}, `null`},
		{crdt.IntegerValue(-7), `-7`},
		{crdt.IntegerValue(1 << 53), `9007199254740992`},
		{crdt.IntegerValue(1<<53 + 1), `{"int":"9007199254740993"}`},
		{crdt.IntegerValue(math.MinInt64), `{"int":"-9223372036854775808"}`},
		{crdt.RealValue(1), `1.0`},
		{crdt.RealValue(math.Copysign(0, -1)), `-0.0`},
		{crdt.RealValue(12.5), `12.5`},
		{crdt.RealValue(1e21), `1e+21`},
		{crdt.RealValue(math.Inf(1)), `{"real":"+Inf"}`},
		{crdt.RealValue(math.Inf(-1)), `{"real":"-Inf"}`},
		{crdt.TextValue("Мария <&> \"x\""), `"Мария <&> \"x\""`},
		{crdt.TextValue("a\u009bb\u202e"), `"a\u009bb\u202e"`},
		{crdt.TextValue("caf\xe9"), `{"text_base64":"Y2Fm6Q=="}`},
		{crdt.BlobValue("\x00\xff"), `{"blob":"AP8="}`},
		{crdt.BlobValue(""), `{"blob":""}`},
	} {
		got, err := encodeJSON(jsonValue(c.value))
		if err != nil || string(got) != c.want {
			t.Errorf("%s %q in JSON: %s, %v; want %s", c.value.Kind(), c.value, got, err, c.want)
		}
	}
}

func TestKeyKeepsColumnOrderInJSON(t *testing.T) {
	key := []store.Named{{Name: "z", Value: crdt.IntegerValue(1)}, {Name: "a", Value: crdt.TextValue("x")}}
	got, err := encodeJSON(jsonNamed(key))
	if want := `{"z":1,"a":"x"}`; err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

func TestTypedValueIsTheValueMeant(t *testing.T) {
	for typed, want := range map[string]crdt.Value{
		"NULL": {}, "null": {}, "'NULL'": crdt.TextValue("NULL"),
		"5": crdt.IntegerValue(5), "-3": crdt.IntegerValue(-3), "0": crdt.IntegerValue(0),
		"007": crdt.TextValue("007"), "+5": crdt.TextValue("+5"), "'5'": crdt.TextValue("5"),
		"12.50": crdt.RealValue(12.5), ".5": crdt.RealValue(0.5), "1e3": crdt.RealValue(1000),
		"-0.0":    crdt.RealValue(math.Copysign(0, -1)),
		"x'00fF'": crdt.BlobValue("\x00\xff"), "x''": crdt.BlobValue(""), "x'0g'": crdt.TextValue("x'0g'"),
		"": crdt.TextValue(""), "''": crdt.TextValue(""), "'it''s'": crdt.TextValue("it's"), "it's": crdt.TextValue("it's"),
		"a=b": crdt.TextValue("a=b"), "1.2.3": crdt.TextValue("1.2.3"), "12 guests": crdt.TextValue("12 guests"),
	} {
		got, err := parseLiteral(typed)
		if err != nil || got != want {
			t.Errorf("%s: %s %q, %v; want %s %q", typed, got.Kind(), got, err, want.Kind(), want)
		}
	}
	for _, typed := range []string{"'open", "'", "'a'b'", "x'0'", "9223372036854775808", "1e999"} {
		if got, err := parseLiteral(typed); err == nil {
			t.Errorf("%s was taken for %s %q; it should have been refused", typed, got.Kind(), got)
		}
	}
}

func TestShownValueCanBeTypedBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(
			rapid.Just(crdt.Value{}),
			rapid.Map(rapid.Int64(), crdt.IntegerValue),
			rapid.Map(rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) }), crdt.RealValue),
			rapid.Map(rapid.String(), crdt.TextValue),
			rapid.Map(rapid.SampledFrom([]string{"'", "''", "x'00'", "NULL", "null", "-1", "1.0", "1e5", "x'0'", "'a"}),
				crdt.TextValue),
			rapid.Map(rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }), crdt.BlobValue),
		).Draw(t, "value")
		again, err := parseLiteral(literal(value))
		if err != nil || again != value {
			t.Fatalf("%s %q is shown as %s, which reads as %s %q (%v)", value.Kind(), value, literal(value), again.Kind(), again,
				err)
		}
	})
}

func TestDecisionColumnsInAnySpelling(t *testing.T) {
	for given, want := range map[string][2]string{
		"total=12.50":          {"total", "12.50"},
		"note=a=b":             {"note", "a=b"},
		"orders.total=":        {"orders.total", ""},
		"lines[k=1].what=x=y":  {"lines[k=1].what", "x=y"},
		"note=[x].y=z":         {"note", "[x].y=z"},
		"lines[a,b].quantity=": {"lines[a,b].quantity", ""},
	} {
		column, value, ok := cutSet(given)
		if !ok || column != want[0] || value != want[1] {
			t.Errorf("%s: %q, %q, %v; want %q", given, column, value, ok, want)
		}
	}
	for _, given := range []string{"", "total", "=5"} {
		if column, _, ok := cutSet(given); ok {
			t.Errorf("%q was taken for column %q", given, column)
		}
	}
}

func TestBareNumberIsTextInTextColumn(t *testing.T) {
	price, other := crdt.TextValue("9.90"), crdt.TextValue("11.00")
	x := store.Conflict{Columns: []store.ConflictColumn{
		{Table: "orders", Name: "price", Base: &price, Values: map[string]*crdt.Value{"a": &other, "b": nil},
			InForce: &other}}}
	f := resolveFlags{set: []string{"price=12.50"}}
	decision, err := f.resolution()
	if err != nil {
		t.Fatal(err)
	}
	f.keepText(x, decision.Set)
	if got := decision.Set["price"]; got != crdt.TextValue("12.50") {
		t.Errorf("the price is %s %q; want the text that was typed", got.Kind(), got)
	}
}
