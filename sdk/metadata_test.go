package sdk

import (
	"encoding/json"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"
)

// structOf makes protobuf's struct of JSON.
func structOf(t testing.TB, text string) *structpb.Struct {
	t.Helper()
	s := &structpb.Struct{}
	if err := s.UnmarshalJSON([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return s
}

func shown(t testing.TB, v Value) string {
	t.Helper()
	b, err := json.Marshal(v.Any())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestValues(t *testing.T) {
	const text = `{"b":true,"f":false,"l":[1,"two",null,{"x":3}],"n":-1.5,"s":"a","z":null}`
	v := StructOf(structOf(t, text))
	if got := shown(t, v); got != text {
		t.Errorf("%s, want %s", got, text)
	}
	for i, want := range []ValueKind{BoolValue, BoolValue, ListValue, NumberValue, StringValue, NullValue, NoValue} {
		if got := v.At(i).Kind(); got != want {
			t.Errorf("%d: %d, want %d", i, got, want)
		}
	}
	l := v.Field("l")
	switch {
	case !v.Field("b").Bool() || v.Field("f").Bool() || v.Field("n").Bool():
		t.Error("booleans")
	case v.Field("n").Number() != -1.5 || v.Field("b").Number() != 0:
		t.Error("numbers")
	case l.Len() != 4 || l.At(1).Text() != "two" || l.At(3).Path("x").Number() != 3 || l.At(-1).Exists() || l.At(4).Exists():
		t.Error("lists")
	case !v.Field("z").Exists() || v.Field("y").Exists() || l.Field("").Exists() || v.Path("s", "x").Exists():
		t.Error("what is there")
	case v.NameAt(1) != "f":
		t.Error(v.NameAt(1))
	}
	made := Struct(Field{"z", Null()}, Field{"s", String("b")}, Field{"n", Number(-1.5)}, Field{"f", Bool(false)}, Field{"b", Bool(true)},
		Field{"l", List(Number(1), String("two"), Null(), Struct(Field{"x", Number(3)}))}, Field{"s", String("a")})
	if got := shown(t, made); got != text {
		t.Errorf("made %s, want %s", got, text)
	}
	if got := shown(t, ValueOf(nil)) + shown(t, StructOf(nil)); got != "null{}" {
		t.Error(got)
	}
}

func TestMetadata(t *testing.T) {
	var none *Metadata
	if none.Get("a", "b").Exists() || none.Namespace("a").Exists() || none.All().Len() != 0 || NewMetadata(nil) != nil {
		t.Error("nil is not empty")
	}
	m := NewMetadata(map[string]*structpb.Struct{"a": structOf(t, `{"k":{"l":"v"}}`), "b": structOf(t, `{}`)})
	if m.Get("a", "k", "l").Text() != "v" || !m.Namespace("b").Exists() || m.Namespace("c").Exists() {
		t.Error(shown(t, m.All()))
	}
}

// TestDynamic: what is set is there, in order, and is gone with the stream.
func TestDynamic(t *testing.T) {
	var i StreamInfo
	for range 3 {
		d := &i.Dynamic
		d.Set("b", "z", Number(1))
		d.Set("b", "a", Number(2))
		d.Set("a", "k", String("v"))
		d.Set("b", "z", List(Number(3)))
		d.Merge("b", StructOf(structOf(t, `{"a":{"x":1},"m":null}`)))
		d.Merge("c", Struct())
		d.Merge("d", String("no struct"))
		if got, want := shown(t, d.All()), `{"a":{"k":"v"},"b":{"a":{"x":1},"m":null,"z":[3]},"c":{}}`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if i.Reset(); d.All().Len() != 0 || d.Namespace("b").Exists() {
			t.Errorf("after the stream: %s", shown(t, d.All()))
		}
		d.Set("c", "new", Null())
		if got := shown(t, d.All()); got != `{"c":{"new":null}}` {
			t.Errorf("the next stream sees %s", got)
		}
		i.Reset()
	}
}

// TestDynamicMemory: streams use the memory of those before, and not more of it than is
// reasonable.
func TestDynamicMemory(t *testing.T) {
	var i StreamInfo
	use := func() {
		i.Dynamic.Set("space", "k", String("v"))
		i.Dynamic.Set("another", "k", Number(1))
		i.Dynamic.Set("another", "l", Bool(true))
		if i.Dynamic.Get("another", "k").Number() != 1 {
			t.Error("lost")
		}
		i.Reset()
	}
	use()
	if n := testing.AllocsPerRun(100, use); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { i.Reset() }); n != 0 {
		t.Errorf("%v allocations without", n)
	}
	name := make([]byte, 1)
	for n := range byte(4 * maxSpare) {
		name[0] = n
		i.Dynamic.Set("wide", string(name), Null())
		i.Dynamic.Set(string(name), "k", Null())
	}
	if i.Reset(); cap(i.Dynamic.spaces) > maxSpare {
		t.Errorf("%d namespaces keep their memory", cap(i.Dynamic.spaces))
	}
}
