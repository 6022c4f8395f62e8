package yamlpb

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
	"gopkg.in/yaml.v3"
)

type reader = func(d *decoder, n *yaml.Node, m protoreflect.Message) bool

// wellKnown returns how messages with a JSON form of their own are read, nil for
// all others.
func wellKnown(name protoreflect.FullName) reader {
	short, ok := strings.CutPrefix(string(name), "google.protobuf.")
	if !ok {
		return nil
	}
	switch short {
	case "Any":
		return (*decoder).any
	case "Duration":
		return (*decoder).duration
	case "Timestamp":
		return (*decoder).timestamp
	case "FieldMask":
		return (*decoder).fieldMask
	case "Struct":
		return (*decoder).structure
	case "ListValue":
		return (*decoder).values
	case "Value":
		return (*decoder).value
	case "BoolValue", "StringValue", "BytesValue", "Int32Value", "Int64Value",
		"UInt32Value", "UInt64Value", "FloatValue", "DoubleValue":
		return (*decoder).wrapper
	}
	return nil
}

func (d *decoder) wrapper(n *yaml.Node, m protoreflect.Message) bool {
	fd := m.Descriptor().Fields().ByName("value")
	v, ok := d.scalar(n, fd)
	if ok {
		m.Set(fd, v)
	}
	return ok
}

// text returns the string that n is, for the types that are written as one.
func (d *decoder) text(n *yaml.Node, want string) (string, bool) {
	if n.Kind == yaml.ScalarNode {
		if p := classify(n); p.kind == kindString {
			return p.s, true
		}
	}
	return "", d.errorf(n, "is %s, want %s", describe(n), want)
}

const wantDuration = `a duration such as "1.5s"`

func (d *decoder) duration(n *yaml.Node, m protoreflect.Message) bool {
	s, ok := d.text(n, wantDuration)
	if !ok {
		return false
	}
	seconds, nanos, ok := parseDuration(s)
	if !ok {
		return d.errorf(n, "is %s, want %s", describe(n), wantDuration)
	}
	setTime(m, seconds, nanos)
	return true
}

func setTime(m protoreflect.Message, seconds int64, nanos int32) {
	fields := m.Descriptor().Fields()
	m.Set(fields.ByName("seconds"), protoreflect.ValueOfInt64(seconds))
	m.Set(fields.ByName("nanos"), protoreflect.ValueOfInt32(nanos))
}

// maxDuration is the most seconds of a Duration: 10,000 years.
const maxDuration = 315_576_000_000

// parseDuration reads "-1.000000001s"; at most nine digits of fraction.
func parseDuration(s string) (seconds int64, nanos int32, ok bool) {
	s, ok = strings.CutSuffix(s, "s")
	if !ok {
		return 0, 0, false
	}
	s, negative := strings.CutPrefix(s, "-")
	whole, fraction, dotted := strings.Cut(s, ".")
	if dotted && fraction == "" || len(fraction) > 9 {
		return 0, 0, false
	}
	sec, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || sec > maxDuration {
		return 0, 0, false
	}
	var frac uint64
	if dotted {
		if frac, err = strconv.ParseUint(fraction, 10, 63); err != nil {
			return 0, 0, false
		}
		for range 9 - len(fraction) {
			frac *= 10
		}
	}
	if negative {
		return -int64(sec), -int32(frac), true
	}
	return int64(sec), int32(frac), true
}

func (d *decoder) timestamp(n *yaml.Node, m protoreflect.Message) bool {
	const want = `a time such as "2006-01-02T15:04:05Z"`
	if n.Kind != yaml.ScalarNode {
		return d.errorf(n, "is %s, want %s", describe(n), want)
	}
	t, err := time.Parse(time.RFC3339Nano, n.Value)
	if err != nil || t.UTC().Year() < 1 || t.UTC().Year() > 9999 {
		return d.errorf(n, "is %s, want %s", describe(n), want)
	}
	setTime(m, t.Unix(), int32(t.Nanosecond()))
	return true
}

func (d *decoder) fieldMask(n *yaml.Node, m protoreflect.Message) bool {
	s, ok := d.text(n, `paths such as "a,b.cD"`)
	if !ok || s == "" {
		return ok
	}
	paths := m.Mutable(m.Descriptor().Fields().ByName("paths")).List()
	for p := range strings.SplitSeq(s, ",") {
		paths.Append(protoreflect.ValueOfString(snake(p)))
	}
	return true
}

// any reads {"@type": url, fields...}; well-known types stand under "value".
func (d *decoder) any(n *yaml.Node, m protoreflect.Message) bool {
	if n.Kind != yaml.MappingNode {
		return d.errorf(n, `is %s, want a map with "@type"`, describe(n))
	}
	url, at, empty := d.typeURL(n)
	if url == "" {
		if empty {
			return true
		}
		return d.errorf(n, `lacks "@type", the type of the configuration`)
	}
	if d.opts.Resolve == nil {
		return d.errorf(at, "no types are known")
	}
	typ, err := d.opts.Resolve(url)
	if err != nil {
		return d.errorf(at, "%v", err)
	}
	inner := typ.New()
	if wellKnown(inner.Descriptor().FullName()) == nil {
		d.fields(n, inner, "@type")
	} else if !d.anyValue(n, inner) {
		return false
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(inner.Interface())
	if err != nil {
		return d.errorf(n, "%v", err)
	}
	fields := m.Descriptor().Fields()
	m.Set(fields.ByName("type_url"), protoreflect.ValueOfString(url))
	m.Set(fields.ByName("value"), protoreflect.ValueOfBytes(raw))
	return true
}

func (d *decoder) typeURL(n *yaml.Node) (url string, at *yaml.Node, empty bool) {
	empty = true
	for k, v := range d.pairs(n) {
		empty = false
		if k.Value == "@type" {
			if v = resolve(v); v != nil && v.Kind == yaml.ScalarNode {
				return v.Value, v, false
			}
		}
	}
	return "", nil, empty
}

func (d *decoder) anyValue(n *yaml.Node, inner protoreflect.Message) bool {
	ok := false
	for k, v := range d.pairs(n) {
		d.push(step{name: k.Value})
		switch k.Value {
		case "@type":
		case "value":
			ok = d.message(v, inner)
		default:
			d.unknown(k, inner.Descriptor())
		}
		d.pop()
	}
	return ok
}

func (d *decoder) structure(n *yaml.Node, m protoreflect.Message) bool {
	if n.Kind != yaml.MappingNode {
		return d.errorf(n, "is %s, want a map", describe(n))
	}
	s := m.Interface().(*structpb.Struct)
	s.Fields = make(map[string]*structpb.Value, len(n.Content)/2)
	for k, v := range d.pairs(n) {
		d.push(step{key: k.Value, keyed: true})
		if s.Fields[k.Value] != nil {
			d.errorf(k, "is set twice")
		} else {
			s.Fields[k.Value] = new(structpb.Value)
			d.message(v, s.Fields[k.Value].ProtoReflect())
		}
		d.pop()
	}
	return true
}

func (d *decoder) values(n *yaml.Node, m protoreflect.Message) bool {
	if n.Kind != yaml.SequenceNode {
		return d.errorf(n, "is %s, want a list", describe(n))
	}
	l := m.Interface().(*structpb.ListValue)
	for i, e := range n.Content {
		d.push(step{index: i})
		l.Values = append(l.Values, new(structpb.Value))
		d.message(e, l.Values[i].ProtoReflect())
		d.pop()
	}
	return true
}

func (d *decoder) value(n *yaml.Node, m protoreflect.Message) bool {
	v := m.Interface().(*structpb.Value)
	switch n.Kind {
	case yaml.MappingNode:
		s := new(structpb.Struct)
		v.Kind = &structpb.Value_StructValue{StructValue: s}
		return d.structure(n, s.ProtoReflect())
	case yaml.SequenceNode:
		l := new(structpb.ListValue)
		v.Kind = &structpb.Value_ListValue{ListValue: l}
		return d.values(n, l.ProtoReflect())
	}
	switch p := classify(n); p.kind {
	case kindNull:
		v.Kind = &structpb.Value_NullValue{}
	case kindBool:
		v.Kind = &structpb.Value_BoolValue{BoolValue: p.b}
	case kindInt:
		v.Kind = &structpb.Value_NumberValue{NumberValue: float64(p.i)}
	case kindFloat:
		v.Kind = &structpb.Value_NumberValue{NumberValue: p.f}
	default:
		v.Kind = &structpb.Value_StringValue{StringValue: p.s}
	}
	return true
}
