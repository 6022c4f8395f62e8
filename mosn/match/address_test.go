package match

import (
	"net/netip"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/sdk/sdktest"
)

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		prefix, addr string
		bits         uint32
		want         bool
	}{
		{"10.0.0.0", "10.2.3.4", 8, true},
		{"10.0.0.1", "10.2.3.4", 8, true},
		{"10.0.0.0", "11.2.3.4", 8, false},
		{"10.0.0.0", "::ffff:10.2.3.4", 8, true},
		{"10.2.3.4", "10.2.3.4", 99, true},
		{"10.2.3.4", "10.2.3.5", 99, false},
		{"10.2.3.4", "200.2.3.5", 0, true},
		{"10.2.3.4", "::1", 0, false},
		{"fe80::", "fe80::1%eth0", 10, true},
		{"fe80::", "fd80::1", 10, false},
	} {
		l, err := CompileAddresses(sdktest.NewCompiler(t), "f", []*corev3.CidrRange{
			{AddressPrefix: "192.0.2.1", PrefixLen: wrapperspb.UInt32(32)},
			{AddressPrefix: c.prefix, PrefixLen: wrapperspb.UInt32(c.bits)},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Match(netip.MustParseAddr(c.addr)); got != c.want {
			t.Errorf("%s in %s/%d: %v", c.addr, c.prefix, c.bits, got)
		}
		if l.Match(netip.Addr{}) {
			t.Error("no address is in a range")
		}
	}
	if _, err := CompileAddresses(sdktest.NewCompiler(t), "f", []*corev3.CidrRange{{AddressPrefix: "x"}}); err == nil || err.Error()[:20] != "f[0].address_prefix:" {
		t.Error(err)
	}
}

func TestDecodedParameter(t *testing.T) {
	for _, c := range []struct{ path, want string }{
		{"/?a=1", "1"}, {"/?b&a=1&a=2", "1"}, {"/?%61=%31", "1"}, {"/?a", ""}, {"/?a=%3d%3D&", "=="},
		{"/?a=%", "%"}, {"/?a=%4", "%4"}, {"/?a=%4g", "%4g"}, {"/?a=1+2", "1+2"}, {"/?b=1", "none"}, {"/a=1", "none"}, {"/?", "none"},
	} {
		got, _, ok := DecodedParameter(nil, c.path, "a")
		if !ok {
			got = "none"
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.path, got, c.want)
		}
	}
}
