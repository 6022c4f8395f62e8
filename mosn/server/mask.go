package server

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
)

// trim returns a copy of m with only the fields of a mask: paths of field names, with
// commas between. With inside, a path may go on into an Any. ok is false when a path
// does not exist, or goes through a list.
func trim(m proto.Message, mask string, inside bool) (out proto.Message, ok bool) {
	keep := tree{}
	for path := range strings.SplitSeq(mask, ",") {
		at := keep
		steps := strings.Split(path, ".")
		for i, step := range steps {
			next, known := at[step]
			if i == len(steps)-1 {
				at[step] = nil // all of it
				break
			}
			if known && next == nil {
				break // a shorter path has it all
			}
			if !known {
				next = tree{}
				at[step] = next
			}
			at = next
		}
	}
	out = proto.Clone(m)
	return out, keep.apply(out.ProtoReflect(), inside)
}

// tree is the fields to keep; nil is all of them.
type tree map[string]tree

func (t tree) apply(m protoreflect.Message, inside bool) bool {
	if a, ok := m.Interface().(*anypb.Any); ok && inside {
		inner, err := a.UnmarshalNew()
		return err == nil && t.apply(inner.ProtoReflect(), true) && a.MarshalFrom(inner) == nil
	}
	fields := m.Descriptor().Fields()
	for name, below := range t {
		fd := fields.ByName(protoreflect.Name(name))
		if fd == nil || below != nil && (fd.Message() == nil || fd.IsList() || fd.IsMap()) {
			return false
		}
	}
	ok := true
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		below, kept := t[string(fd.Name())]
		if !kept {
			m.Clear(fd)
		} else if below != nil {
			ok = below.apply(m.Mutable(fd).Message(), inside)
		}
		return ok
	})
	return ok
}

const redacted = "[redacted]"

// redact hides what Envoy's protos mark as sensitive: keys, passwords, tokens. As in
// Envoy, of a message that is marked every text is hidden.
func redact(m protoreflect.Message) { redactFields(m, false) }

func redactFields(m protoreflect.Message, all bool) {
	if a, ok := m.Interface().(*anypb.Any); ok {
		inner, err := a.UnmarshalNew()
		if err != nil {
			if all {
				a.Value = nil
			}
			return
		}
		redactFields(inner.ProtoReflect(), all)
		if a.MarshalFrom(inner) != nil {
			a.Value = nil // better nothing than a secret
		}
		return
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		hide := all || sensitive(fd)
		switch {
		case fd.IsMap():
			redactMap(fd, v.Map(), hide)
		case fd.IsList():
			list := v.List()
			for i := range list.Len() {
				if fd.Message() != nil {
					redactFields(list.Get(i).Message(), hide)
				} else if hidden, ok := hiddenValue(fd); hide && ok {
					list.Set(i, hidden)
				}
			}
		case fd.Message() != nil:
			redactFields(m.Mutable(fd).Message(), hide)
		case hide:
			if hidden, ok := hiddenValue(fd); ok {
				m.Set(fd, hidden)
			} else {
				m.Clear(fd)
			}
		}
		return true
	})
}

func redactMap(fd protoreflect.FieldDescriptor, values protoreflect.Map, hide bool) {
	values.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		if fd.MapValue().Message() != nil {
			redactFields(v.Message(), hide)
		} else if hidden, ok := hiddenValue(fd.MapValue()); hide && ok {
			values.Set(k, hidden)
		}
		return true
	})
}

func hiddenValue(fd protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(redacted), true
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(redacted)), true
	}
	return protoreflect.Value{}, false
}

// sensitive reads the option that Envoy's protos carry; their generated code brings it
// along.
func sensitive(fd protoreflect.FieldDescriptor) bool {
	option, err := protoregistry.GlobalTypes.FindExtensionByName("udpa.annotations.sensitive")
	if err != nil || !proto.HasExtension(fd.Options(), option) {
		return false
	}
	hide, _ := proto.GetExtension(fd.Options(), option).(bool)
	return hide
}
