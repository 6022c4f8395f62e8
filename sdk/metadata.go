package sdk

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/types/known/structpb"
)

// Metadata is what is said of something, for whoever knows the names: in namespaces,
// most often called by the filter that they are of ("envoy.lb"), values by their names.
//
// That of configuration (a route, a cluster, a host) never changes. That of a stream is
// the dynamic metadata which its filters write: nothing is allocated for a stream
// without, and the memory is used again by later streams. A nil Metadata is empty.
type Metadata struct{ spaces []Field }

// NewMetadata makes the metadata of a configuration: Envoy's filter_metadata. Without
// namespaces it is nil.
func NewMetadata(filter map[string]*structpb.Struct) *Metadata {
	if len(filter) == 0 {
		return nil
	}
	m := &Metadata{spaces: make([]Field, 0, len(filter))}
	for _, name := range slices.Sorted(maps.Keys(filter)) {
		m.spaces = append(m.spaces, Field{name, StructOf(filter[name])})
	}
	return m
}

// Get returns what stands in a namespace under a name, and under that, in structs, by
// further names.
func (m *Metadata) Get(namespace string, path ...string) Value {
	return m.Namespace(namespace).Path(path...)
}

// Namespace returns all that stands in a namespace, as a struct. Of a stream's metadata
// it is valid until something is set.
func (m *Metadata) Namespace(name string) Value {
	if m == nil {
		return Value{}
	}
	return Value{kind: StructValue, items: m.spaces}.Field(name)
}

// All returns all namespaces as one struct. Of a stream's metadata it is valid until
// something is set.
func (m *Metadata) All() Value {
	if m == nil {
		return Value{kind: StructValue}
	}
	return Value{kind: StructValue, items: m.spaces}
}

// Set puts a value into a namespace, in place of what had the name. The namespace, the
// name and the strings in v must stay as they are until the stream ends: those of
// headers do, text from elsewhere is to be copied.
func (m *Metadata) Set(namespace, name string, v Value) {
	fields := m.space(namespace)
	i, ok := find(*fields, name)
	if !ok {
		*fields = slices.Insert(*fields, i, Field{Name: name})
	}
	(*fields)[i].Value = v
}

// Merge sets each member of a struct. An empty one makes the namespace, if it is not
// there yet; anything but a struct changes nothing.
func (m *Metadata) Merge(namespace string, v Value) {
	if v.kind != StructValue {
		return
	}
	m.space(namespace)
	for _, f := range v.items {
		m.Set(namespace, f.Name, f.Value)
	}
}

// space returns the members of a namespace, which it makes if need be: of one that was
// forgotten, if there is one.
func (m *Metadata) space(name string) *[]Field {
	i, ok := find(m.spaces, name)
	if !ok {
		n := len(m.spaces)
		if n < cap(m.spaces) {
			m.spaces = m.spaces[:n+1]
		} else {
			m.spaces = append(m.spaces, Field{})
		}
		spare := m.spaces[n].Value.items[:0]
		copy(m.spaces[i+1:], m.spaces[i:n])
		m.spaces[i] = Field{name, Value{kind: StructValue, items: spare}}
	}
	return &m.spaces[i].Value.items
}

// maxSpare bounds how many members, and how many namespaces, keep their memory.
const maxSpare = 32

// reset empties m but keeps its memory, and nothing that it refers to.
func (m *Metadata) reset() {
	if len(m.spaces) == 0 {
		return
	}
	if cap(m.spaces) > maxSpare {
		m.spaces = nil
		return
	}
	for i := range m.spaces {
		spare := m.spaces[i].Value.items
		if clear(spare); cap(spare) > maxSpare {
			spare = nil
		}
		m.spaces[i] = Field{Value: Value{items: spare[:0]}}
	}
	m.spaces = m.spaces[:0]
}
