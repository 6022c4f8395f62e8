// Package runtime holds Envoy's runtime: values by key that change behaviour without
// a change of configuration, most of all the share of requests that something
// applies to.
//
// [Values] are what is in force. Whoever is compiled with them keeps them and asks when
// it needs to know: that takes no lock, and what a [Loader] has put there since is seen
// at once. The Loader makes them of the layers of the bootstrap: static ones,
// directories on disk, and what admin has set.
package runtime

import (
	"fmt"
	"math"
	"sync/atomic"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/sdk"
)

// Values are the overrides in force. Nil ones have none. Any goroutine may read them.
type Values struct {
	byKey atomic.Pointer[map[string]*value] // the map is never changed
}

// New makes values that do not change: of layers, of which a later one wins. See
// [NewLoader] for the form.
func New(layers ...*structpb.Struct) (*Values, error) {
	v := &Values{}
	all := map[string]*value{}
	for i, l := range layers {
		if err := flatten(all, "", l); err != nil {
			return nil, fmt.Errorf("runtime layer %d: %w", i, err)
		}
	}
	v.byKey.Store(&all)
	return v, nil
}

// Of returns the values in force where c compiles, nil when c does not know any.
func Of(c sdk.Compiler) *Values {
	if h, ok := c.(interface{ Runtime() *Values }); ok {
		return h.Runtime()
	}
	return nil
}

// Keys is the number of keys.
func (v *Values) Keys() int {
	if v == nil {
		return 0
	}
	return len(*v.byKey.Load())
}

// get returns the value of a key, nil when there is none.
func (v *Values) get(key string) *value {
	if v == nil || key == "" {
		return nil
	}
	return (*v.byKey.Load())[key]
}

// Uint returns the number under key, def when there is none that is a whole number.
func (v *Values) Uint(key string, def uint64) uint64 {
	if x := v.get(key); x != nil && x.kind == number && x.number >= 0 && x.number == math.Trunc(x.number) && x.number < 1<<63 {
		return uint64(x.number)
	}
	return def
}

// Float returns the number under key, def when there is none.
func (v *Values) Float(key string, def float64) float64 {
	if x := v.get(key); x != nil && x.kind == number {
		return x.number
	}
	return def
}

// Bool returns the boolean under key, def when there is none.
func (v *Values) Bool(key string, def bool) bool {
	if x := v.get(key); x != nil && x.kind == boolean {
		return x.flag
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
func (f Fraction) Enabled(v *Values, random uint64) bool {
	if x := v.get(f.Key); x != nil {
		f.override(x)
	}
	return f.Denominator != 0 && random%uint64(f.Denominator) < uint64(f.Numerator)
}

// override replaces the default by a value of the runtime: a fraction, or a number
// of per cent. Anything else leaves it.
func (f *Fraction) override(x *value) {
	switch x.kind {
	case number:
		if x.number >= 0 {
			f.Numerator, f.Denominator = uint32(min(x.number, 100)), 100
		}
	case fraction:
		f.Numerator, f.Denominator = x.numerator, x.denominator
	case other, boolean:
	}
}
