package match

import (
	"net/netip"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/sdk"
)

// Addresses is a compiled list of ranges.
type Addresses []netip.Prefix

// cidr is a range: envoy.config.core.v3.CidrRange or xds.core.v3.CidrRange.
type cidr interface {
	GetAddressPrefix() string
	GetPrefixLen() *wrapperspb.UInt32Value
}

// CompileAddresses compiles the ranges of a repeated field; c is at the field's parent.
func CompileAddresses[T cidr](c sdk.Compiler, field string, pbs []T) (Addresses, error) {
	var list Addresses
	for i, pb := range pbs {
		p, err := CompileAddress(c.At(index(field, i)), pb)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// CompileAddress compiles one range; without prefix_len it is that of all addresses, as
// in Envoy.
func CompileAddress(c sdk.Compiler, pb cidr) (netip.Prefix, error) {
	a, err := netip.ParseAddr(pb.GetAddressPrefix())
	if err != nil {
		return netip.Prefix{}, c.At("address_prefix").Errorf("%w", err)
	}
	// Envoy takes a length that is too long as the longest.
	p, err := a.Prefix(min(int(pb.GetPrefixLen().GetValue()), a.BitLen()))
	if err != nil {
		return netip.Prefix{}, c.Errorf("%w", err)
	}
	return p, nil
}

// Match reports whether a is in one of the ranges; what is no address is not.
func (l Addresses) Match(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range l {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
