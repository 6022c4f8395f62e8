// Package runtime holds Envoy's runtime: values by key that change behaviour without
// a change of configuration, most of all the share of requests that something
// applies to.
//
// A [Snapshot] is immutable: it is made off the loops from the layers of the
// bootstrap and read on any goroutine. The layers known now are static ones; disk,
// admin and RTDS layers will make new snapshots.
package runtime

import (
	"fmt"
	"math"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/sdk"
)

// Snapshot is a set of overrides. A nil Snapshot has none.
type Snapshot struct {
	values map[string]*structpb.Value
}

// New flattens layers ("a: {b: 1}" is the key "a.b"); a later layer wins. A struct
// that has a numerator or a denominator is one value, a fraction, as in Envoy. Lists
// and nulls are errors that name the key.
func New(layers ...*structpb.Struct) (*Snapshot, error) {
	s := &Snapshot{values: map[string]*structpb.Value{}}
	for i, layer := range layers {
		if err := s.add("", layer); err != nil {
			return nil, fmt.Errorf("runtime layer %d: %w", i, err)
		}
	}
	return s, nil
}

func (s *Snapshot) add(prefix string, layer *structpb.Struct) error {
	for name, v := range layer.GetFields() {
		key := prefix + name
		switch kind := v.GetKind().(type) {
		case *structpb.Value_StructValue:
			if isFraction(kind.StructValue) {
				s.values[key] = v
			} else if err := s.add(key+".", kind.StructValue); err != nil {
				return err
			}
		case *structpb.Value_ListValue:
			return fmt.Errorf("%s: a list is no runtime value", key)
		case *structpb.Value_NullValue, nil:
			return fmt.Errorf("%s: null is no runtime value", key)
		default:
			s.values[key] = v
		}
	}
	return nil
}

func isFraction(s *structpb.Struct) bool {
	return s.Fields["numerator"] != nil || s.Fields["denominator"] != nil
}

// Of returns the values in force where c compiles, nil when c does not know any.
func Of(c sdk.Compiler) *Snapshot {
	if h, ok := c.(interface{ Runtime() *Snapshot }); ok {
		return h.Runtime()
	}
	return nil
}

// Keys is the number of keys.
func (s *Snapshot) Keys() int {
	if s == nil {
		return 0
	}
	return len(s.values)
}

func (s *Snapshot) get(key string) *structpb.Value {
	if s == nil || key == "" {
		return nil
	}
	return s.values[key]
}

// Uint returns the number under key, def when there is none that is a whole number.
func (s *Snapshot) Uint(key string, def uint64) uint64 {
	if n, ok := s.get(key).GetKind().(*structpb.Value_NumberValue); ok && n.NumberValue >= 0 && n.NumberValue == math.Trunc(n.NumberValue) && n.NumberValue < 1<<63 {
		return uint64(n.NumberValue)
	}
	return def
}

// Float returns the number under key, def when there is none.
func (s *Snapshot) Float(key string, def float64) float64 {
	if n, ok := s.get(key).GetKind().(*structpb.Value_NumberValue); ok {
		return n.NumberValue
	}
	return def
}

// Bool returns the boolean under key, def when there is none.
func (s *Snapshot) Bool(key string, def bool) bool {
	if b, ok := s.get(key).GetKind().(*structpb.Value_BoolValue); ok {
		return b.BoolValue
	}
	return def
}

// Fraction is the share of requests to which something applies: a default, and the
// key that may override it.
type Fraction struct {
	Key         string
	Numerator   uint32
	Denominator uint32 // 100, 10000 or 1000000; 0 means that there is no fraction: never
}

// Always is the fraction of everything.
func Always() Fraction { return Fraction{Numerator: 100, Denominator: 100} }

// CompileFraction turns Envoy's message into a Fraction. A nil message gives
// Always, which is what the fields that hold one mean by being unset.
func CompileFraction(pb *corev3.RuntimeFractionalPercent) Fraction {
	if pb == nil {
		return Always()
	}
	return CompilePercent(pb.GetRuntimeKey(), pb.GetDefaultValue())
}

// CompilePercent is CompileFraction for a key and a percentage; a nil percentage is
// zero.
func CompilePercent(key string, pb *typev3.FractionalPercent) Fraction {
	return Fraction{Key: key, Numerator: pb.GetNumerator(), Denominator: denominator(pb.GetDenominator())}
}

func denominator(d typev3.FractionalPercent_DenominatorType) uint32 {
	switch d {
	case typev3.FractionalPercent_TEN_THOUSAND:
		return 10_000
	case typev3.FractionalPercent_MILLION:
		return 1_000_000
	}
	return 100
}

// Enabled draws: random is a uniform random number, or one derived from the request
// where all hops must draw alike. It does not allocate.
func (f Fraction) Enabled(s *Snapshot, random uint64) bool {
	if v := s.get(f.Key); v != nil {
		f.override(v)
	}
	return f.Denominator != 0 && random%uint64(f.Denominator) < uint64(f.Numerator)
}

// override replaces the default by a value of the runtime: a fraction, or a number
// of per cent. Anything else leaves it.
func (f *Fraction) override(v *structpb.Value) {
	switch kind := v.GetKind().(type) {
	case *structpb.Value_NumberValue:
		if kind.NumberValue >= 0 {
			f.Numerator, f.Denominator = uint32(min(kind.NumberValue, 100)), 100
		}
	case *structpb.Value_StructValue:
		fields := kind.StructValue.GetFields()
		f.Numerator = uint32(min(max(0, fields["numerator"].GetNumberValue()), math.MaxUint32))
		name := fields["denominator"].GetStringValue()
		f.Denominator = denominator(typev3.FractionalPercent_DenominatorType(typev3.FractionalPercent_DenominatorType_value[name]))
	}
}
