package match

import (
	"fmt"
	"net/netip"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"sofamesh.io/sofamesh/sdk"
)

// FilterState is a compiled envoy.type.matcher.v3.FilterStateMatcher.
type FilterState struct {
	key       string
	text      *String // nil: an address
	addresses Addresses
	invert    bool
}

// CompileFilterState compiles m.
func CompileFilterState(c sdk.Compiler, m *matcherv3.FilterStateMatcher) (FilterState, error) {
	f := FilterState{key: m.GetKey()}
	switch p := m.GetMatcher().(type) {
	case *matcherv3.FilterStateMatcher_StringMatch:
		s, err := CompileString(c.At("string_match"), p.StringMatch)
		f.text = &s
		return f, err
	case *matcherv3.FilterStateMatcher_AddressMatch:
		var err error
		f.invert = p.AddressMatch.GetInvertMatch()
		f.addresses, err = CompileAddresses(c.At("address_match"), "ranges", p.AddressMatch.GetRanges())
		return f, err
	}
	return f, c.Errorf("no matcher is set")
}

// Match reports whether what info has under the key matches; nothing never does.
func (f *FilterState) Match(info *sdk.StreamInfo) bool {
	var text string
	switch v := info.FilterState(f.key).(type) {
	case string:
		text = v
	case fmt.Stringer:
		text = v.String()
	default:
		return false
	}
	if f.text != nil {
		return f.text.Match(text)
	}
	a, err := netip.ParseAddr(text)
	return err == nil && f.addresses.Match(a) != f.invert
}
