package runtime

import (
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

func layerOf(t testing.TB, m map[string]any) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func snapshot(t testing.TB, layers ...map[string]any) *Values {
	t.Helper()
	var structs []*structpb.Struct
	for _, m := range layers {
		structs = append(structs, layerOf(t, m))
	}
	s, err := New(structs...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLayers(t *testing.T) {
	s := snapshot(t,
		map[string]any{"a": map[string]any{"b": 1, "c": true}, "d": 2.5, "e": "text"},
		map[string]any{"a.b": 7})
	if s.Keys() != 4 {
		t.Errorf("%d keys", s.Keys())
	}
	if got := s.Uint("a.b", 0); got != 7 {
		t.Errorf("a.b = %d: the later layer should win", got)
	}
	if !s.Bool("a.c", false) || s.Float("d", 0) != 2.5 {
		t.Error("values are lost")
	}
	if s.Uint("d", 9) != 9 || s.Uint("e", 9) != 9 || s.Float("e", 9) != 9 || !s.Bool("a.b", true) || s.Uint("none", 9) != 9 {
		t.Error("a value of another kind should leave the default")
	}
	var none *Values
	if none.Keys() != 0 || none.Uint("a", 3) != 3 || none.Bool("a", true) != true || none.Float("a", 1) != 1 {
		t.Error("no snapshot should leave the defaults")
	}
}

func TestWrongLayers(t *testing.T) {
	for value, want := range map[any]string{nil: "runtime layer 0: a.b: null is no runtime value"} {
		_, err := New(layerOf(t, map[string]any{"a": map[string]any{"b": value}}))
		if err == nil || err.Error() != want {
			t.Errorf("%v: %v", value, err)
		}
	}
	_, err := New(nil, layerOf(t, map[string]any{"x": []any{1}}))
	if err == nil || !strings.Contains(err.Error(), "runtime layer 1: x: a list") {
		t.Errorf("%v", err)
	}
}

// share counts how many of n consecutive numbers are drawn.
func share(f Fraction, s *Values, n uint64) (hits int) {
	for i := range n {
		if f.Enabled(s, i) {
			hits++
		}
	}
	return hits
}

func TestFraction(t *testing.T) {
	percent := func(n uint32, d typev3.FractionalPercent_DenominatorType) *corev3.RuntimeFractionalPercent {
		return &corev3.RuntimeFractionalPercent{RuntimeKey: "k", DefaultValue: &typev3.FractionalPercent{Numerator: n, Denominator: d}}
	}
	override := map[string]any{"k": map[string]any{"numerator": 5, "denominator": "TEN_THOUSAND"}}
	for name, c := range map[string]struct {
		pb   *corev3.RuntimeFractionalPercent
		s    *Values
		n    uint64
		want int
	}{
		"unset":               {nil, nil, 100, 100},
		"default 0":           {percent(0, typev3.FractionalPercent_HUNDRED), nil, 100, 0},
		"default 30%":         {percent(30, typev3.FractionalPercent_HUNDRED), nil, 1000, 300},
		"ten thousand":        {percent(30, typev3.FractionalPercent_TEN_THOUSAND), nil, 10000, 30},
		"million":             {percent(30, typev3.FractionalPercent_MILLION), nil, 1000000, 30},
		"over 100%":           {percent(300, typev3.FractionalPercent_HUNDRED), nil, 100, 100},
		"override number":     {percent(30, typev3.FractionalPercent_HUNDRED), snapshot(t, map[string]any{"k": 70}), 100, 70},
		"override too large":  {percent(30, typev3.FractionalPercent_HUNDRED), snapshot(t, map[string]any{"k": 1e30}), 100, 100},
		"override negative":   {percent(30, typev3.FractionalPercent_HUNDRED), snapshot(t, map[string]any{"k": -1}), 100, 30},
		"override fraction":   {percent(30, typev3.FractionalPercent_HUNDRED), snapshot(t, override), 10000, 5},
		"override by a word":  {percent(30, typev3.FractionalPercent_HUNDRED), snapshot(t, map[string]any{"k": "x"}), 100, 30},
		"other key":           {percent(30, typev3.FractionalPercent_HUNDRED), snapshot(t, map[string]any{"l": 70}), 100, 30},
		"no default, no key":  {&corev3.RuntimeFractionalPercent{}, nil, 100, 0},
		"negative numerator":  {percent(30, typev3.FractionalPercent_HUNDRED), snapshot(t, map[string]any{"k": map[string]any{"numerator": -3}}), 100, 0},
		"denominator alone":   {percent(30, typev3.FractionalPercent_HUNDRED), snapshot(t, map[string]any{"k": map[string]any{"denominator": "MILLION"}}), 100, 0},
		"unknown denominator": {percent(30, typev3.FractionalPercent_HUNDRED), snapshot(t, map[string]any{"k": map[string]any{"numerator": 3, "denominator": "DOZEN"}}), 100, 3},
	} {
		if got := share(CompileFraction(c.pb), c.s, c.n); got != c.want {
			t.Errorf("%s: %d of %d", name, got, c.n)
		}
	}
	if (Fraction{}).Enabled(nil, 0) {
		t.Error("the zero Fraction applies to something")
	}
}

func TestEnabledDoesNotAllocate(t *testing.T) {
	s := snapshot(t, map[string]any{"k": map[string]any{"numerator": 5, "denominator": "TEN_THOUSAND"}})
	f := Fraction{Key: "k", Numerator: 1, Denominator: 100}
	if n := testing.AllocsPerRun(100, func() { f.Enabled(s, 7) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEnabled(b *testing.B) {
	s := snapshot(b, map[string]any{"k": 5})
	f := Fraction{Key: "k", Numerator: 1, Denominator: 100}
	n := uint64(0)
	for b.Loop() {
		f.Enabled(s, n)
		n++
	}
}
