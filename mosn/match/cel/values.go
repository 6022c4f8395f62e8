package cel

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// activation resolves the names of an expression for one stream.
type activation struct {
	attributes map[string]attribute
	data       *match.Data
	response   bool // something of the response was asked for
}

// ResolveName implements cel.Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	a.response = a.response || strings.HasPrefix(name, "response")
	if at, ok := a.attributes[name]; ok {
		v := at.get(a.data)
		return v, v != nil
	}
	// A part of Envoy's names as a whole: "request".
	return mapOf(group{a, name}), true
}

// Parent implements cel.Activation.
func (a *activation) Parent() cel.Activation { return nil }

// lookup is what is behind a map of the language: values are made when they are asked
// for.
type lookup interface {
	find(key string) ref.Val // nil: not there
	size() int
}

// group is the attributes that share their first word. Its size is that of Envoy's.
type group struct {
	*activation
	name string
}

func (g group) find(key string) ref.Val {
	if at, ok := g.attributes[g.name+"."+key]; ok {
		return at.get(g.data)
	}
	return nil
}

func (g group) size() int { return 0 }

// headerMap is the headers of a message; several values of one name are joined.
type headerMap struct{ h *sdk.Headers }

func (m headerMap) find(key string) ref.Val {
	if m.h == nil {
		return nil
	}
	name := match.HeaderName(key)
	i := m.h.Find(name, 0)
	if i < 0 {
		return nil
	}
	value := m.h.ValueAt(i)
	if i = m.h.Find(name, i+1); i < 0 {
		return types.String(value)
	}
	var b strings.Builder
	b.WriteString(value)
	for ; i >= 0; i = m.h.Find(name, i+1) {
		b.WriteByte(',')
		b.WriteString(m.h.ValueAt(i))
	}
	return types.String(b.String())
}

func (m headerMap) size() int {
	if m.h == nil {
		return 0
	}
	return m.h.Len()
}

// metadataMap is Envoy's message Metadata.
type metadataMap struct{ md *sdk.Metadata }

func (m metadataMap) find(key string) ref.Val {
	if key == "filter_metadata" {
		return mapOf(valueMap{m.md.All()})
	}
	return nil
}

func (m metadataMap) size() int { return 0 }

// valueMap is a struct of metadata.
type valueMap struct{ v sdk.Value }

func (m valueMap) find(key string) ref.Val { return valueOf(m.v.Field(key)) }

func (m valueMap) size() int { return m.v.Len() }

func valueOf(v sdk.Value) ref.Val {
	switch v.Kind() {
	case sdk.NullValue:
		return types.NullValue
	case sdk.BoolValue:
		return types.Bool(v.Bool())
	case sdk.NumberValue:
		return types.Double(v.Number())
	case sdk.StringValue:
		return types.String(v.Text())
	case sdk.StructValue:
		return mapOf(valueMap{v})
	case sdk.ListValue:
		list := make([]ref.Val, v.Len())
		for i := range list {
			list[i] = valueOf(v.At(i))
		}
		return types.NewRefValList(types.DefaultTypeAdapter, list)
	}
	return nil
}

// stateMap is the filter state. Values are bytes, as in Envoy; those without a text are
// not there.
type stateMap struct{ info *sdk.StreamInfo }

func (m stateMap) find(key string) ref.Val {
	switch v := m.info.FilterState(key).(type) {
	case string:
		return types.Bytes(v)
	case fmt.Stringer:
		return types.Bytes(v.String())
	}
	return nil
}

func (m stateMap) size() int { return 0 }

// mapping makes a map of the language from a lookup. There is no way to go through its
// entries: expressions have no comprehensions.
type mapping struct{ lookup }

var _ traits.Mapper = mapping{}

func mapOf(l lookup) ref.Val { return mapping{l} }

// Find implements traits.Mapper.
func (m mapping) Find(key ref.Val) (ref.Val, bool) {
	k, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	v := m.find(string(k))
	return v, v != nil
}

// Get implements traits.Indexer.
func (m mapping) Get(key ref.Val) ref.Val {
	if v, ok := m.Find(key); ok {
		return v
	}
	return types.NewErr("no such key: %v", key)
}

// Contains implements traits.Container.
func (m mapping) Contains(key ref.Val) ref.Val {
	_, ok := m.Find(key)
	return types.Bool(ok)
}

// Size implements traits.Sizer.
func (m mapping) Size() ref.Val { return types.Int(m.size()) }

// Iterator implements traits.Iterable.
func (m mapping) Iterator() traits.Iterator {
	return types.NewDynamicMap(types.DefaultTypeAdapter, map[string]any{}).Iterator()
}

// ConvertToNative implements ref.Val.
func (m mapping) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("attributes have no form as %v", t)
}

// ConvertToType implements ref.Val.
func (m mapping) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.MapType:
		return m
	case types.TypeType:
		return types.MapType
	}
	return types.NewErr("type conversion error from 'map' to '%s'", t.TypeName())
}

// Equal implements ref.Val.
func (m mapping) Equal(ref.Val) ref.Val {
	return types.NewErr("attributes are not compared as a whole")
}

// Type implements ref.Val.
func (m mapping) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (m mapping) Value() any { return m.lookup }
