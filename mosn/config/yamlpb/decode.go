package yamlpb

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"gopkg.in/yaml.v3"
)

// Options are how Decode treats what the document alone cannot tell.
type Options struct {
	// Resolve returns the type of an Any by its URL, or why it cannot be had.
	Resolve func(url string) (protoreflect.MessageType, error)
	// Unknown is called with each field that the message does not have; nil makes
	// that an error.
	Unknown func(*Error)
}

// MaxErrors is how many faults one Decode reports.
const MaxErrors = 20

// Decode fills m, which must be empty, from the document. It goes on after a fault,
// so that the error (joined *Error values) names several. On error m is incomplete.
func (d *Document) Decode(m proto.Message, o Options) error {
	if d.root == nil || isNull(d.root) && m.ProtoReflect().Descriptor().FullName() != "google.protobuf.Value" {
		return nil
	}
	dec := &decoder{doc: d, opts: o, budget: d.size + maxExpanded}
	dec.message(d.root, m.ProtoReflect())
	return errors.Join(dec.errs...)
}

// decoder is one Decode under way. path leads to the node in hand.
type decoder struct {
	doc    *Document
	opts   Options
	path   []step
	budget int // nodes that may still be visited
	depth  int
	errs   []error
}

// step is a field's name, or with an empty name an index or a quoted key.
type step struct {
	name  string
	index int
	key   string
	keyed bool
}

func (d *decoder) at() string {
	var b strings.Builder
	for i, s := range d.path {
		switch {
		case s.keyed:
			b.WriteString("[" + strconv.Quote(s.key) + "]")
		case s.name == "":
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		default:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.name)
		}
	}
	return b.String()
}

// errorf notes a fault of node n. It returns false, for callers to pass on.
func (d *decoder) errorf(n *yaml.Node, format string, args ...any) bool {
	if len(d.errs) < MaxErrors {
		d.errs = append(d.errs, d.fault(n, fmt.Sprintf(format, args...)))
	}
	return false
}

func (d *decoder) fault(n *yaml.Node, msg string) *Error {
	return &Error{File: d.doc.name, Line: n.Line, Path: d.at(), Msg: msg}
}

// enter follows an alias and counts the visit; nil when a limit is reached. Each
// non-nil enter is paired with a leave.
func (d *decoder) enter(n *yaml.Node) *yaml.Node {
	if d.budget--; d.budget < 0 || len(d.errs) >= MaxErrors {
		if d.budget == -1 {
			d.errorf(n, "aliases make the document too large")
		}
		return nil
	}
	if d.depth >= maxDepth {
		d.errorf(n, "nested deeper than %d", maxDepth)
		return nil
	}
	r := resolve(n)
	if r == nil {
		d.errorf(n, "an alias without an end")
		return nil
	}
	d.depth++
	return r
}

func (d *decoder) leave() { d.depth-- }

func (d *decoder) push(s step) { d.path = append(d.path, s) }
func (d *decoder) pop()        { d.path = d.path[:len(d.path)-1] }

// message fills m from n.
func (d *decoder) message(n *yaml.Node, m protoreflect.Message) bool {
	n = d.enter(n)
	if n == nil {
		return false
	}
	defer d.leave()
	if read := wellKnown(m.Descriptor().FullName()); read != nil {
		return read(d, n, m)
	}
	if n.Kind != yaml.MappingNode {
		return d.errorf(n, "is %s, want a map with fields of %s", describe(n), m.Descriptor().FullName())
	}
	d.fields(n, m, "")
	return true
}

// fields sets the fields of m that n names, but for the key skip.
func (d *decoder) fields(n *yaml.Node, m protoreflect.Message, skip string) {
	desc := m.Descriptor()
	seen := make(map[protoreflect.FieldNumber]string, len(n.Content)/2)
	for key, value := range d.pairs(n) {
		if skip != "" && key.Value == skip {
			continue
		}
		d.push(step{name: key.Value})
		if fd := findField(desc, key.Value); fd == nil {
			d.unknown(key, desc)
		} else if before, dup := seen[fd.Number()]; dup {
			d.errorf(key, "is set twice (as %q before)", before)
		} else {
			seen[fd.Number()] = key.Value
			d.path[len(d.path)-1].name = string(fd.Name())
			d.field(key, value, m, fd)
		}
		d.pop()
	}
}

func findField(desc protoreflect.MessageDescriptor, key string) protoreflect.FieldDescriptor {
	if fd := desc.Fields().ByName(protoreflect.Name(key)); fd != nil {
		return fd
	}
	return desc.Fields().ByJSONName(key)
}

func (d *decoder) unknown(key *yaml.Node, desc protoreflect.MessageDescriptor) {
	msg := fmt.Sprintf("unknown field: %s has no %q", desc.FullName(), key.Value)
	if d.opts.Unknown != nil {
		d.opts.Unknown(d.fault(key, msg))
		return
	}
	d.errorf(key, "%s", msg)
}

// field sets one field. A null leaves it unset, except where null is a value.
func (d *decoder) field(key, value *yaml.Node, m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	if isNull(value) && !takesNull(fd) {
		return
	}
	if o := fd.ContainingOneof(); o != nil {
		if other := m.WhichOneof(o); other != nil {
			d.errorf(key, "must not be set together with %s", other.Name())
			return
		}
	}
	switch {
	case fd.IsMap():
		d.mapField(value, m, fd)
	case fd.IsList():
		d.listField(value, m, fd)
	case fd.Message() != nil:
		d.message(value, m.Mutable(fd).Message())
	default:
		if v, ok := d.scalar(value, fd); ok {
			m.Set(fd, v)
		}
	}
}

func takesNull(fd protoreflect.FieldDescriptor) bool {
	if fd.IsList() || fd.IsMap() {
		return false
	}
	if m := fd.Message(); m != nil {
		return m.FullName() == "google.protobuf.Value"
	}
	return fd.Enum() != nil && fd.Enum().FullName() == "google.protobuf.NullValue"
}

func (d *decoder) listField(value *yaml.Node, m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	n := d.enter(value)
	if n == nil {
		return
	}
	defer d.leave()
	if n.Kind != yaml.SequenceNode {
		d.errorf(n, "is %s, want a list", describe(n))
		return
	}
	list := m.Mutable(fd).List()
	for i, e := range n.Content {
		d.push(step{index: i})
		if fd.Message() != nil {
			element := list.NewElement()
			d.message(e, element.Message())
			list.Append(element)
		} else if v, ok := d.scalar(e, fd); ok {
			list.Append(v)
		}
		d.pop()
	}
}

func (d *decoder) mapField(value *yaml.Node, m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	n := d.enter(value)
	if n == nil {
		return
	}
	defer d.leave()
	if n.Kind != yaml.MappingNode {
		d.errorf(n, "is %s, want a map", describe(n))
		return
	}
	entries := m.Mutable(fd).Map()
	for key, value := range d.pairs(n) {
		d.push(step{key: key.Value, keyed: true})
		d.entry(key, value, entries, fd)
		d.pop()
	}
}

func (d *decoder) entry(key, value *yaml.Node, entries protoreflect.Map, fd protoreflect.FieldDescriptor) {
	// Every kind of key may be written as a string.
	text := *key
	text.Style, text.Tag = yaml.DoubleQuotedStyle, "!!str"
	var k protoreflect.MapKey
	if fd.MapKey().Kind() == protoreflect.BoolKind {
		b, err := strconv.ParseBool(key.Value)
		if err != nil {
			d.errorf(key, "is not a bool")
			return
		}
		k = protoreflect.ValueOfBool(b).MapKey()
	} else {
		v, ok := d.scalar(&text, fd.MapKey())
		if !ok {
			return
		}
		k = v.MapKey()
	}
	if entries.Has(k) {
		d.errorf(key, "is set twice")
		return
	}
	if fd.MapValue().Message() != nil {
		v := entries.NewValue()
		d.message(value, v.Message())
		entries.Set(k, v)
	} else if v, ok := d.scalar(value, fd.MapValue()); ok {
		entries.Set(k, v)
	}
}

// describe says what a node is, in messages.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	}
	return classify(n).describe()
}

func isNull(n *yaml.Node) bool {
	n = resolve(n)
	return n != nil && n.Kind == yaml.ScalarNode && classify(n).kind == kindNull
}
