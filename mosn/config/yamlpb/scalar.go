package yamlpb

import (
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"gopkg.in/yaml.v3"
)

// tagNumber marks a JSON number, of any size and form.
const tagNumber = "!number"

type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindInt
	kindFloat // only in JSON
	kindString
)

// plain is a scalar as Envoy's YAML reader sees it.
type plain struct {
	kind kind
	b    bool
	i    int64
	f    float64
	s    string
}

func (p plain) describe() string {
	switch p.kind {
	case kindNull:
		return "null"
	case kindBool:
		return "the bool " + p.s
	case kindInt, kindFloat:
		return "the number " + p.s
	}
	if len(p.s) > 40 {
		return "the string " + strconv.Quote(p.s[:40]) + "..."
	}
	return "the string " + strconv.Quote(p.s)
}

const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

func classify(n *yaml.Node) plain {
	p := plain{kind: kindString, s: n.Value}
	switch {
	case n.Style&quoted != 0, n.Style&yaml.TaggedStyle != 0 && n.Tag == "!!str":
		return p
	case n.Tag == "!!null":
		p.kind = kindNull
	case n.Tag == tagNumber:
		p.number()
	default:
		p.word()
	}
	return p
}

// number reads a JSON number.
func (p *plain) number() {
	if i, err := strconv.ParseInt(p.s, 10, 64); err == nil {
		p.kind, p.i = kindInt, i
	} else if f, err := strconv.ParseFloat(p.s, 64); err == nil {
		p.kind, p.f = kindFloat, f
	}
}

// word reads a plain YAML scalar by the rules in the package comment.
func (p *plain) word() {
	if b, ok := boolWord(p.s); ok {
		p.kind, p.b = kindBool, b
		return
	}
	if strings.ContainsAny(p.s, "_oObB") { // Go's own forms of numbers
		return
	}
	i, err := strconv.ParseInt(p.s, 0, 64) // 0x and a leading 0 count, as in yaml-cpp
	switch {
	case err != nil:
	case i < math.MinInt32 || i > math.MaxInt32:
		p.s = strconv.FormatInt(i, 10)
	default:
		p.kind, p.i = kindInt, i
	}
}

func boolWord(s string) (value, ok bool) {
	if len(s) == 0 || len(s) > 5 {
		return false, false
	}
	low := strings.ToLower(s)
	if s != low && s != strings.ToUpper(s) && s != strings.ToUpper(low[:1])+low[1:] {
		return false, false
	}
	switch low {
	case "true", "yes", "on", "y":
		return true, true
	case "false", "no", "off", "n":
		return false, true
	}
	return false, false
}

// scalar reads a value of the kind of fd: its own, or of an element of it.
func (d *decoder) scalar(n *yaml.Node, fd protoreflect.FieldDescriptor) (v protoreflect.Value, ok bool) {
	n = d.enter(n)
	if n == nil {
		return v, false
	}
	defer d.leave()
	if n.Kind != yaml.ScalarNode {
		return v, d.errorf(n, "is %s, want %s", describe(n), kindName(fd))
	}
	p := classify(n)
	switch fd.Kind() {
	case protoreflect.StringKind:
		v, ok = protoreflect.ValueOfString(p.s), p.kind == kindString
	case protoreflect.BoolKind:
		v, ok = protoreflect.ValueOfBool(p.b), p.kind == kindBool
	case protoreflect.BytesKind:
		v, ok = p.bytes()
	case protoreflect.EnumKind:
		v, ok = p.enum(fd.Enum())
	case protoreflect.FloatKind:
		v, ok = p.float(32)
	case protoreflect.DoubleKind:
		v, ok = p.float(64)
	default:
		v, ok = p.integer(fd.Kind())
	}
	if !ok {
		d.errorf(n, "is %s, want %s", p.describe(), kindName(fd))
	}
	return v, ok
}

func kindName(fd protoreflect.FieldDescriptor) string {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return "a string (in quotes where it looks like a number or a bool)"
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.BytesKind:
		return "bytes in base64"
	case protoreflect.EnumKind:
		var names []string
		for i := range min(fd.Enum().Values().Len(), 16) {
			names = append(names, string(fd.Enum().Values().Get(i).Name()))
		}
		return "one of " + strings.Join(names, ", ")
	}
	return "a number of type " + fd.Kind().String()
}

func (p plain) bytes() (v protoreflect.Value, ok bool) {
	if p.kind != kindString {
		return v, false
	}
	s := strings.TrimRight(p.s, "=")
	enc := base64.RawStdEncoding
	if strings.ContainsAny(s, "-_") {
		enc = base64.RawURLEncoding
	}
	b, err := enc.DecodeString(s)
	return protoreflect.ValueOfBytes(b), err == nil
}

func (p plain) enum(desc protoreflect.EnumDescriptor) (v protoreflect.Value, ok bool) {
	switch {
	case p.kind == kindNull && desc.FullName() == "google.protobuf.NullValue":
		return protoreflect.ValueOfEnum(0), true
	case p.kind == kindInt && p.i == int64(int32(p.i)):
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(p.i)), true
	case p.kind == kindNull, p.kind == kindFloat:
		return v, false
	}
	// A name may look like a bool ("ON").
	if e := desc.Values().ByName(protoreflect.Name(p.s)); e != nil {
		return protoreflect.ValueOfEnum(e.Number()), true
	}
	return v, false
}

func (p plain) float(bits int) (v protoreflect.Value, ok bool) {
	f, ok := p.f, true
	switch p.kind {
	case kindInt:
		f = float64(p.i)
	case kindFloat:
	case kindString:
		f, ok = parseFloat(p.s)
	default:
		return v, false
	}
	if bits == 64 {
		return protoreflect.ValueOfFloat64(f), ok
	}
	over := !math.IsInf(f, 0) && math.Abs(f) > math.MaxFloat32
	return protoreflect.ValueOfFloat32(float32(f)), ok && !over
}

func parseFloat(s string) (float64, bool) {
	i := slices.Index([]string{"NaN", "Infinity", "-Infinity"}, s)
	if i >= 0 {
		return []float64{math.NaN(), math.Inf(1), math.Inf(-1)}[i], true
	}
	if strings.Trim(s, "+-0123456789.eE") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

func (p plain) integer(k protoreflect.Kind) (v protoreflect.Value, ok bool) {
	unsigned := k == protoreflect.Uint64Kind || k == protoreflect.Fixed64Kind
	i := p.i
	switch p.kind {
	case kindInt:
	case kindFloat:
		i = int64(p.f)
		if float64(i) != p.f || math.Abs(p.f) >= 1<<63 {
			return v, false
		}
	case kindString:
		if u, err := strconv.ParseUint(p.s, 10, 64); unsigned && err == nil {
			return protoreflect.ValueOfUint64(u), true
		}
		var err error
		if i, err = strconv.ParseInt(p.s, 10, 64); err != nil {
			return v, false
		}
	default:
		return v, false
	}
	switch k {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(i)), i == int64(int32(i))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(i)), i == int64(uint32(i))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(i)), i >= 0
	}
	return protoreflect.ValueOfInt64(i), true
}
