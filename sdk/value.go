package sdk

import (
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
)

// ValueKind is of what kind a [Value] is.
type ValueKind uint8

// The kinds. NoValue is that of the zero Value: what was asked for is not there.
const (
	NoValue ValueKind = iota
	NullValue
	BoolValue
	NumberValue
	StringValue
	ListValue
	StructValue
)

// Value is a value as JSON has them: what metadata is made of. It does not change, but
// for a namespace of a stream's own Metadata (see [Metadata.Namespace]). To make one
// that is no list and no struct, and to read any, allocates nothing.
type Value struct {
	kind   ValueKind
	number float64 // of a bool 1 or 0
	text   string
	items  []Field // of a list without names, of a struct by name
}

// Field is one member of a struct.
type Field struct {
	Name  string
	Value Value
}

// Null, Bool, Number and String make a value. A string is not copied: it must stay as
// it is for as long as the value is read.
func Null() Value            { return Value{kind: NullValue} }
func Number(f float64) Value { return Value{kind: NumberValue, number: f} }
func String(s string) Value  { return Value{kind: StringValue, text: s} }

// Bool makes a value of a boolean.
func Bool(b bool) Value {
	if b {
		return Value{kind: BoolValue, number: 1}
	}
	return Value{kind: BoolValue}
}

// List makes a list.
func List(values ...Value) Value {
	v := Value{kind: ListValue, items: make([]Field, len(values))}
	for i := range values {
		v.items[i].Value = values[i]
	}
	return v
}

// Struct makes a struct. It keeps fields, and sorts them; of those with one name the
// last counts.
func Struct(fields ...Field) Value {
	slices.SortStableFunc(fields, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	out := fields[:0]
	for i := range fields {
		if i+1 == len(fields) || fields[i].Name != fields[i+1].Name {
			out = append(out, fields[i])
		}
	}
	return Value{kind: StructValue, items: out}
}

// ValueOf makes a value of protobuf's; nil makes none.
func ValueOf(pb *structpb.Value) Value {
	switch k := pb.GetKind().(type) {
	case *structpb.Value_NullValue:
		return Null()
	case *structpb.Value_BoolValue:
		return Bool(k.BoolValue)
	case *structpb.Value_NumberValue:
		return Number(k.NumberValue)
	case *structpb.Value_StringValue:
		return String(k.StringValue)
	case *structpb.Value_ListValue:
		v := Value{kind: ListValue, items: make([]Field, len(k.ListValue.GetValues()))}
		for i, item := range k.ListValue.GetValues() {
			v.items[i].Value = ValueOf(item)
		}
		return v
	case *structpb.Value_StructValue:
		return StructOf(k.StructValue)
	}
	return Value{}
}

// StructOf makes a value of protobuf's struct; nil makes an empty one.
func StructOf(pb *structpb.Struct) Value {
	v := Value{kind: StructValue, items: make([]Field, 0, len(pb.GetFields()))}
	for _, name := range slices.Sorted(maps.Keys(pb.GetFields())) {
		v.items = append(v.items, Field{name, ValueOf(pb.Fields[name])})
	}
	return v
}

// Kind tells what v is.
func (v Value) Kind() ValueKind { return v.kind }

// Exists reports whether there is a value at all; null is one.
func (v Value) Exists() bool { return v.kind != NoValue }

// Text returns a string's text, "" of any other kind.
func (v Value) Text() string { return v.text }

// Number returns a number, 0 of any other kind.
func (v Value) Number() float64 {
	if v.kind != NumberValue {
		return 0
	}
	return v.number
}

// Bool reports whether v is true.
func (v Value) Bool() bool { return v.kind == BoolValue && v.number != 0 }

// Len returns the number of members of a list or a struct, 0 of any other kind.
func (v Value) Len() int { return len(v.items) }

// At returns a member of a list or a struct, by its place: structs are sorted by name.
// None is at a place outside.
func (v Value) At(i int) Value {
	if uint(i) >= uint(len(v.items)) {
		return Value{}
	}
	return v.items[i].Value
}

// NameAt returns the name of a struct's member by its place, which must be below Len.
func (v Value) NameAt(i int) string { return v.items[i].Name }

// Field returns a struct's member.
func (v Value) Field(name string) Value {
	if i, ok := find(v.items, name); ok && v.kind == StructValue {
		return v.items[i].Value
	}
	return Value{}
}

// Path returns what is reached by the names one after the other.
func (v Value) Path(names ...string) Value {
	for _, name := range names {
		v = v.Field(name)
	}
	return v
}

// find returns where a name is, or where it would have to go.
func find(fields []Field, name string) (int, bool) {
	return slices.BinarySearchFunc(fields, name, func(f Field, name string) int { return strings.Compare(f.Name, name) })
}

// Any returns v as encoding/json would have it: nil, bool, float64, string, []any or
// map[string]any. What is not there is nil too.
func (v Value) Any() any {
	switch v.kind {
	case BoolValue:
		return v.Bool()
	case NumberValue:
		return v.number
	case StringValue:
		return v.text
	case ListValue:
		list := make([]any, len(v.items))
		for i := range v.items {
			list[i] = v.items[i].Value.Any()
		}
		return list
	case StructValue:
		m := make(map[string]any, len(v.items))
		for i := range v.items {
			m[v.items[i].Name] = v.items[i].Value.Any()
		}
		return m
	}
	return nil
}
